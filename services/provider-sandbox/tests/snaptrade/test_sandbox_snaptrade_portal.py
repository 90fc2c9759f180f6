"""The connection portal, driven by a script as a person would click."""

from urllib.parse import parse_qs, urlsplit

import pytest

BACK = "https://app.test/back"


def visit(caller, **body):
    return caller.open_portal(**({"immediateRedirect": True, "customRedirect": BACK} | body))


def test_the_page_can_be_used_by_a_person(live):
    page = live.registered().open_portal(broker="SCHWAB").look()
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for part in (
        "Connect Charles Schwab",
        'value="demo"',
        "Invalid credentials",
        "viewport",
        "<label",
        "Cancel",
    ):
        assert part in page.text
    assert "<script" not in page.text


def test_without_a_broker_the_page_offers_the_choice(live):
    caller = live.registered()
    portal = visit(caller)
    text = portal.look().text
    assert "Fidelity" in text
    assert "Chase" not in text
    assert portal.submit(broker="fidelity", username="twins")["status"] == "SUCCESS"
    assert len(caller.accounts()) == 2


def test_a_trade_only_session_offers_trading_brokerages_only(live):
    text = visit(live.registered(), connectionType="trade").look().text
    assert "Charles Schwab" in text
    assert "Fidelity" not in text


def test_the_redirect_keeps_the_applications_own_query(live):
    caller = live.registered()
    answer = visit(caller, broker="SCHWAB", customRedirect=f"{BACK}?state=s1").post(username="demo")
    location = urlsplit(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == BACK
    query = parse_qs(location.query)
    assert query["state"] == ["s1"]
    assert query["connection_id"] == [caller.get("/authorizations").json()[0]["id"]]


def test_without_immediate_redirect_a_result_page_links_back(live):
    page = visit(live.registered(), broker="SCHWAB", immediateRedirect=False).post(username="demo")
    assert page.status_code == 200
    assert "status=SUCCESS&amp;connection_id=" in page.text


def test_a_link_works_once(live):
    portal = visit(live.registered(), broker="SCHWAB")
    portal.submit(username="demo")
    assert portal.look().status_code == 400
    assert portal.post(username="demo").status_code == 400


def test_a_link_lives_five_minutes(live):
    portal = visit(live.registered(), broker="SCHWAB")
    live.clock.move(minutes=4, seconds=59)
    assert portal.look().status_code == 200
    live.clock.move(seconds=2)
    assert portal.look().status_code == 400


def test_leaving_the_portal_connects_nothing(live):
    caller = live.registered()
    assert visit(caller, broker="SCHWAB").submit(action="abandon") == {"status": "ABANDONED"}
    assert caller.get("/authorizations").json() == []


@pytest.mark.parametrize(
    ("scenario", "status_code", "error_code"),
    [
        ("invalid-credentials", "403", "1066"),
        ("account-locked", "500", "3000"),
        ("rate-limited", "429", "0000"),
    ],
)
def test_a_failing_scenario_reports_its_codes_and_may_be_tried_again(live, scenario, status_code, error_code):
    caller = live.registered()
    portal = visit(caller, broker="SCHWAB")
    outcome = portal.submit(scenario=scenario, username="demo")
    assert outcome == {"status": "ERROR", "status_code": status_code, "error_code": error_code}
    assert "CONNECTION_FAILED" in live.event_types()
    assert caller.get("/authorizations").json() == []
    assert portal.submit(username="demo")["status"] == "SUCCESS"


def test_an_unknown_user_name_is_wrong_credentials(live):
    outcome = visit(live.registered(), broker="SCHWAB").submit(username="<b>nobody-here")
    assert outcome["error_code"] == "1066"


@pytest.mark.parametrize(
    ("scenario", "accounts"),
    [("self-directed", 2), ("cash-only", 1), ("no-transactions", 1), ("no-accounts", 0)],
)
def test_snaptrades_own_sandbox_has_its_documented_scenarios(live, scenario, accounts):
    caller = live.registered()
    visit(caller, broker="SANDBOX").submit(scenario=scenario)
    assert len(caller.accounts()) == accounts


def test_the_connection_type_follows_what_the_brokerage_allows(live):
    for number, (broker, wanted, given) in enumerate(
        [
            ("SCHWAB", "trade", "trade"),
            ("SCHWAB", "read", "read"),
            ("SCHWAB", "trade-if-available", "trade"),
            ("FIDELITY", "trade-if-available", "read"),
        ]
    ):
        caller = live.registered(f"u-{number}")
        caller.connect(broker, connectionType=wanted)
        assert caller.get("/authorizations").json()[0]["type"] == given


def test_the_same_login_twice_is_one_connection(live):
    caller = live.registered()
    assert caller.connect("SCHWAB") == caller.connect("SCHWAB")
    assert len(caller.get("/authorizations").json()) == 1
    other = live.registered("another")
    assert other.connect("SCHWAB") != caller.connect("SCHWAB")


def test_reconnecting_repairs_with_the_same_ids(live):
    caller = live.registered()
    connection_id = caller.connect("SCHWAB")
    before = caller.accounts()
    caller.post(f"/authorizations/{connection_id}/disable")
    live.sandbox.settle()
    assert caller.connect("SCHWAB", reconnect=connection_id) == connection_id
    assert caller.get(f"/authorizations/{connection_id}").json()["disabled"] is False
    assert [a["id"] for a in caller.accounts()] == [a["id"] for a in before]
    assert "CONNECTION_FIXED" in live.event_types()


def test_reconnecting_with_another_login_is_1023(live):
    caller = live.registered()
    connection_id = caller.connect("FIDELITY", "demo")
    outcome = visit(caller, reconnect=connection_id).submit(username="twins")
    assert outcome["error_code"] == "1023"


def test_reconnecting_can_upgrade_to_trading(live):
    caller = live.registered()
    connection_id = caller.connect("SCHWAB")
    caller.connect("SCHWAB", reconnect=connection_id, connectionType="trade")
    assert caller.get(f"/authorizations/{connection_id}").json()["type"] == "trade"


def test_connecting_anew_leaves_a_disabled_connection_behind(live):
    caller = live.registered()
    broken = caller.connect("SCHWAB")
    caller.post(f"/authorizations/{broken}/disable")
    live.sandbox.settle()
    assert caller.connect("SCHWAB") != broken
    assert len(caller.get("/authorizations").json()) == 2
    ids = {account["id"] for account in caller.accounts()}
    assert len(ids) == 2
