"""How connections live: events, cache, refresh, disabling, deletion; and that the demo data adds up."""

from decimal import Decimal

import pytest

from provider_sandbox.world import World


def positions(caller, account_id):
    return caller.get(f"/accounts/{account_id}/positions/all").json()["results"]


def units(caller, account_id, symbol):
    return [row["units"] for row in positions(caller, account_id) if row["instrument"]["symbol"] == symbol]


def test_connecting_tells_its_story_in_order(live):
    caller = live.registered("u-9")
    connection_id = caller.connect("FIDELITY", "twins")
    assert live.event_types() == [
        "USER_REGISTERED",
        "CONNECTION_ATTEMPTED",
        "CONNECTION_ADDED",
        *["NEW_ACCOUNT_AVAILABLE"] * 2,
        *["ACCOUNT_HOLDINGS_UPDATED"] * 2,
        *["ACCOUNT_TRANSACTIONS_INITIAL_UPDATE"] * 2,
    ]
    events = live.events()
    assert {event["userId"] for event in events} == {"u-9"}
    assert len({event["webhookId"] for event in events}) == len(events)
    assert all(event["brokerageAuthorizationId"] == connection_id for event in events[2:])
    assert {e["accountId"] for e in events if "accountId" in e} == {a["id"] for a in caller.accounts()}


def test_a_disabled_connection_still_answers_from_its_cache(live):
    caller = live.registered()
    connection_id = caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    assert caller.post(f"/authorizations/{connection_id}/disable").status_code == 200
    live.sandbox.settle()
    assert live.event_types()[-1] == "CONNECTION_BROKEN"
    live.control("PUT", "/accounts/schwab-demo/holdings", {"security": "AAPL", "quantity": "1"})
    assert units(caller, account_id, "AAPL") == ["50"]
    assert caller.get(f"/authorizations/{connection_id}").json()["disabled"] is True
    for call, code in (("refresh", "3003"), ("transactions/sync", "3003"), ("disable", "3011")):
        answer = caller.post(f"/authorizations/{connection_id}/{call}")
        assert (answer.status_code, answer.json()["code"]) == (402, code)


def test_the_daily_plan_shows_changes_after_a_refresh_only(live):
    caller = live.registered()
    connection_id = caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    change = {"security": "AAPL", "quantity": "55.5", "average_cost": "190", "announce": False}
    live.control("PUT", "/accounts/schwab-demo/holdings", change)
    assert units(caller, account_id, "AAPL") == ["50"]
    assert caller.post(f"/authorizations/{connection_id}/refresh").status_code == 200
    live.sandbox.settle()
    assert live.event_types()[-1] == "ACCOUNT_HOLDINGS_UPDATED"
    assert units(caller, account_id, "AAPL") == ["55.5"]


def test_a_refresh_is_billed_once_accepted_and_throttled_when_repeated(live):
    caller = live.registered()
    connection_id = caller.connect("SCHWAB")
    path = f"/authorizations/{connection_id}/refresh"
    assert caller.post(path).status_code == 200
    again = caller.post(path)
    assert (again.status_code, again.json()["code"]) == (429, "throttled")
    assert int(again.headers["retry-after"]) > 0
    assert live.control("GET", "/calls/counts")["billed"] == {"snaptrade:refresh": 1}
    live.clock.move(minutes=2)
    assert caller.post(path).status_code == 200


def test_the_realtime_plan_shows_changes_at_once_and_refuses_refreshes(live):
    live.control("PUT", "/snaptrade", {"plan": "realtime"})
    caller = live.registered()
    connection_id = caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    change = {"security": "AAPL", "quantity": "51", "announce": False}
    live.control("PUT", "/accounts/schwab-demo/holdings", change)
    assert units(caller, account_id, "AAPL") == ["51"]
    answer = caller.post(f"/authorizations/{connection_id}/refresh")
    assert (answer.status_code, answer.json()["code"]) == (403, "1141")


def test_the_first_sync_takes_its_time_and_then_says_so(live):
    live.control("PUT", "/snaptrade", {"initial_sync_seconds": 0.4, "legacy_holdings": True})
    caller = live.registered()
    outcome = caller.open_portal(
        broker="SCHWAB", immediateRedirect=True, customRedirect="https://a.test/"
    ).submit()
    (account,) = caller.accounts()
    assert account["net_value"] is None
    assert positions(caller, account["id"]) == []
    early = caller.get(f"/accounts/{account['id']}/holdings")
    assert (early.status_code, early.json()["code"]) == (425, "3012")
    assert live.event_types()[-2:] == ["ACCOUNT_HOLDINGS_UPDATED", "ACCOUNT_TRANSACTIONS_INITIAL_UPDATE"]
    assert units(caller, account["id"], "AAPL") == ["50"]
    assert caller.accounts()[0]["connection_id"] == outcome["connection_id"]


def test_a_reset_in_the_middle_of_a_sync_sends_nothing_more(live):
    live.control("PUT", "/snaptrade", {"initial_sync_seconds": 30})
    caller = live.registered()
    caller.open_portal(broker="SCHWAB", immediateRedirect=True, customRedirect="https://a.test/").submit()
    live.control("POST", "/reset")
    assert live.events() == []
    assert live.commercial().get("/snapTrade/listUsers").json() == []


def test_any_event_can_be_sent_on_demand(live):
    connection_id = live.registered().connect("SCHWAB")
    order = {"connection_id": connection_id, "event_type": "CONNECTION_UPDATED", "extra": {"novel": 1}}
    live.control("POST", "/snaptrade/events", order)
    assert live.events()[-1]["novel"] == 1
    live.control("POST", "/snaptrade/events", order | {"connection_id": "nothing"}, expect=404)
    live.control("PUT", "/snaptrade", {"webhook_url": ""})
    live.control("POST", "/snaptrade/events", order)
    assert [event["eventType"] for event in live.events()].count("CONNECTION_UPDATED") == 1


def test_a_deleted_connection_takes_its_accounts_and_a_new_one_has_new_ids(live):
    caller = live.registered()
    first = caller.connect("SCHWAB")
    old = {account["id"] for account in caller.accounts()}
    assert caller.delete(f"/connection/{first}").json()["connection_id"] == first
    live.sandbox.settle()
    assert live.event_types()[-1] == "CONNECTION_DELETED"
    assert caller.accounts() == []
    caller.connect("SCHWAB")
    new = caller.accounts()
    assert {account["id"] for account in new}.isdisjoint(old)
    assert new[0]["institution_account_id"] == "schwab-demo-7c21"


def test_activities_page_through_more_than_a_thousand(live):
    caller = live.registered()
    caller.connect("INTERACTIVE-BROKERS-FLEX", "margo")
    account_id = caller.accounts()[0]["id"]
    seen, offset, total = [], 0, 1
    while offset < total:
        page = caller.get(f"/accounts/{account_id}/activities", offset=offset).json()
        seen += page["data"]
        offset, total = offset + len(page["data"]), page["pagination"]["total"]
    assert len(seen) == total == 1203
    assert len({row["id"] for row in seen}) == 1203
    assert [row["trade_date"] for row in seen] == sorted((r["trade_date"] for r in seen), reverse=True)
    sells = caller.get(f"/accounts/{account_id}/activities", type="SELL").json()["data"]
    assert sells
    assert all(row["type"] == "SELL" and row["units"] < 0 for row in sells)


def test_sweep_money_is_inside_the_balance_and_flagged_on_the_position(live):
    caller = live.registered()
    caller.connect("SCHWAB")
    account_id = caller.accounts()[0]["id"]
    (balance,) = caller.get(f"/accounts/{account_id}/balances").json()
    assert balance["cash"] == 5500
    (sweep,) = [row for row in positions(caller, account_id) if row.get("cash_equivalent")]
    assert (sweep["instrument"]["symbol"], sweep["units"]) == ("SWVXX", "2500")


@pytest.mark.parametrize(
    ("broker", "username"), [("SCHWAB", "demo"), ("FIDELITY", "demo"), ("FIDELITY", "twins")]
)
def test_what_a_face_shows_adds_up_to_the_account_total_exactly(live, broker, username):
    caller = live.registered()
    caller.connect(broker, username)
    for account in caller.accounts():
        total = Decimal(0)
        for row in positions(caller, account["id"]):
            value = (
                Decimal(row["units"])
                * Decimal(row["price"])
                * Decimal(row["instrument"].get("multiplier", "1"))
            )
            total += Decimal(0) if row.get("cash_equivalent") else value
        for balance in caller.get(f"/accounts/{account['id']}/balances").json():
            total += Decimal(str(balance["cash"]))
        assert total == Decimal(str(account["net_value"]["amount"]))


def test_awkward_data_is_there_on_purpose(live):
    caller = live.registered()
    caller.connect("INTERACTIVE-BROKERS-FLEX", "margo")
    margo = {r["instrument"]["symbol"]: r for r in positions(caller, caller.accounts()[0]["id"])}
    assert margo["GME"]["units"] == "-75"
    assert margo["VOD.L"]["currency"] == "GBX"
    assert margo["PHNTM"]["price"] is None
    assert margo["ETH"]["cost_basis"] is None
    balances = caller.get(f"/accounts/{caller.accounts()[0]['id']}/balances").json()
    assert {b["currency"]["code"]: b["cash"] for b in balances} == {
        "USD": -4200.5,
        "CAD": 1850.25,
        "GBP": 310.4,
    }
    twins = live.registered("twins")
    twins.connect("FIDELITY", "twins")
    assert [a["masked_account_number"] for a in twins.accounts()] == ["****8865", "****8865"]


def test_the_demo_portfolio_is_complete_and_priced():
    world = World.fresh()
    keys = [
        key for slug in ("charles-schwab", "fidelity", "chase") for key in world.logins["demo", slug].accounts
    ]
    holdings = [h for key in keys for h in world.accounts[key].holdings]
    assert all(world.value(h) is not None and h.average_cost is not None for h in holdings)
    held = {h.security_key for h in holdings}
    assert 10 <= len(held) <= 20
    assert {"option", "bond", "crypto", "money_market"} <= {world.securities[key].kind for key in held}
    assert sum(h.quantity for h in holdings if h.security_key == "AAPL") == 150
    assert sum(world.accounts[key].cash["USD"] for key in keys) == 8000
