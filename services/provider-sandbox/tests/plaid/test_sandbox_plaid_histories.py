"""Histories that control writes: they stay themselves behind their ids, and every answer fits the specification."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest


@pytest.fixture
def keys(live: Any) -> tuple[str, str]:
    """An investment and a deposit account of one login at Chase."""
    accounts = [live.state.world.accounts[k] for k in live.state.world.login("demo", "chase").accounts]
    families = {account.family: account.key for account in accounts}
    return families["investment"], families["deposit"]


def history(live: Any, token: str, **options: Any) -> dict[str, Any]:
    today = live.face.today()
    start = (today - timedelta(days=730)).isoformat()
    return live.ok(
        "/investments/transactions/get",
        access_token=token,
        start_date=start,
        end_date=today.isoformat(),
        options={"count": 500} | options,
    )


def bank(live: Any, token: str, cursor: str | None = None, **members: Any) -> dict[str, Any]:
    given = {"cursor": cursor} if cursor else {}
    return live.ok("/transactions/sync", access_token=token, count=500, **given, **members)


def updated(live: Any, token: str) -> str:
    return live.ok("/item/get", access_token=token)["status"]["investments"]["last_successful_update"]


def test_a_transaction_never_changes_behind_its_id(live: Any, keys: Any) -> None:
    token = live.link()["access_token"]
    before = history(live, token)["investment_transactions"]
    live.state.world.set_price("AAPL", Decimal(1))
    live.state.world.remove_holding(keys[0], "JPM")
    live.clock.ahead += timedelta(days=3)

    assert history(live, token)["investment_transactions"] == before


def test_control_writes_transactions_cancels_and_strikes_them_out(
    live: Any, control: Any, listener: Any, keys: Any
) -> None:
    token = live.link(webhook=listener.url)["access_token"]
    path = f"/accounts/{keys[0]}/transactions"
    made = history(live, token)["total_investment_transactions"]
    option = next(s.key for s in live.state.world.securities.values() if s.option)
    control(
        "POST",
        path,
        {
            "transactions": [
                {"name": "one", "security": "AAPL", "quantity": "2", "price": "100", "fees": "1.5"},
                {"security": "AAPL", "quantity": "2", "price": "100"},
                {"security": option, "quantity": "-3", "price": "2", "subtype": "sell short"},
                {"type": "cancel", "cancels": "one", "at": "2026-11-03T15:04:05Z"},
            ]
        },
    )
    rows = history(live, token)["investment_transactions"]
    by_name = {row["name"]: row for row in rows[:4]}
    cancel = by_name["CANCEL"]

    assert history(live, token)["total_investment_transactions"] == made + 4
    assert len({row["investment_transaction_id"] for row in rows}) == len(rows)
    assert cancel["cancel_transaction_id"] in {row["investment_transaction_id"] for row in rows}
    assert by_name[f"SELL {option}"]["quantity"] == -300
    assert by_name[f"SELL {option}"]["amount"] == -600
    assert [w.name for w in listener.wait(3)][2] == "INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE"
    assert listener.received[2].body["new_investments_transactions"] == 3
    assert listener.received[2].body["cancelled_investments_transactions"] == 1
    control("DELETE", f"{path}/one?announce=false")
    control("DELETE", f"{path}/%230?announce=false")
    assert history(live, token)["total_investment_transactions"] == made + 2
    control("DELETE", f"{path}/nobody", expect=404)
    control("POST", path, {"transactions": [{"security": "NOPE"}]}, expect=404)
    control("POST", f"/accounts/{keys[1]}/transactions", {"transactions": [{}]}, expect=404)


def test_a_bank_history_is_a_stream_of_changes(live: Any, control: Any, keys: Any) -> None:
    token = live.link(products=["transactions"])["access_token"]
    first = bank(live, token)
    path = f"/accounts/{keys[1]}/payments"
    control("POST", path, {"transactions": [{"name": "p", "amount": "12.5", "pending": True}]})
    second = bank(live, token, first["next_cursor"])
    control("POST", path, {"transactions": [{"name": "q", "amount": "13", "posts": "p"}]})
    third = bank(live, token, second["next_cursor"])
    control("POST", path, {"transactions": [{"name": "q", "amount": "14"}]})
    control("DELETE", f"{path}/q")
    fourth = bank(live, token, third["next_cursor"])
    (pending,), (posted,) = second["added"], third["added"]

    assert len(first["added"]) == 8
    assert (pending["pending"], pending["amount"]) == (True, 12.5)
    assert posted["pending_transaction_id"] == pending["transaction_id"]
    assert [row["transaction_id"] for row in third["removed"]] == [pending["transaction_id"]]
    assert [row["amount"] for row in fourth["modified"]] == [14]
    assert [row["transaction_id"] for row in fourth["removed"]] == [posted["transaction_id"]]
    control("PUT", f"/accounts/{keys[1]}/history", {"activities": 10})
    assert len(bank(live, token, fourth["next_cursor"])["added"]) == 2


def test_a_bank_history_that_moves_between_two_pages_is_an_error(live: Any, control: Any, keys: Any) -> None:
    token = live.link(products=["transactions"])["access_token"]
    page = live.ok("/transactions/sync", access_token=token, count=5)
    control("POST", f"/accounts/{keys[1]}/payments", {"transactions": [{"amount": "1"}]})

    assert live.error("/transactions/sync", access_token=token, cursor=page["next_cursor"], count=5) == (
        400,
        "TRANSACTIONS_ERROR",
        "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION",
    )
    assert len(bank(live, token)["added"]) == 9


def test_the_status_moves_when_data_moves_and_only_then(live: Any, control: Any, keys: Any) -> None:
    item = live.link()
    token = item["access_token"]
    seen = [updated(live, token)]

    def now() -> str:
        seen.append(updated(live, token))
        return seen[-1]

    assert now() == now() == seen[0]
    live.state.world.set_price("AAPL", Decimal(321))
    assert now() > seen[0]
    assert now() == seen[-2]
    live.state.world.set_cash("ibkr-margo", "USD", Decimal(1))
    assert now() == seen[-2]
    control("PUT", f"/accounts/{keys[0]}/history", {"activities": 40})
    assert now() > seen[-2]
    assert control("POST", "/pull", {})["pulled"] == 1
    assert now() > seen[-2]
    control("POST", f"/items/{item['item_id']}/break", {})
    assert control("POST", "/pull", {})["pulled"] == 0


def test_consent_ends_when_control_says(live: Any, control: Any) -> None:
    item = live.link()
    path = f"/items/{item['item_id']}/consent"
    control("PUT", path, {"ends_at": "2026-12-24T00:00:00Z"})
    answer = live.ok("/item/get", access_token=item["access_token"])["item"]
    assert answer["consent_expiration_time"] == "2026-12-24T00:00:00Z"
    control("PUT", path, {"ends_at": None})
    answer = live.ok("/item/get", access_token=item["access_token"])["item"]
    assert answer["consent_expiration_time"] is None


def test_calls_beyond_a_limit_are_counted(live: Any, control: Any) -> None:
    token = live.link()["access_token"]
    for _ in range(3):
        live.post("/investments/refresh", {"access_token": token})

    assert control("GET", "/limits") == {"violations": 2, "endpoints": {"/investments/refresh": 2}}
    assert live.state.ledger.billed() == {"plaid:investments_refresh": 1}


def test_thousands_of_items_are_made_at_once_and_work(live: Any, control: Any) -> None:
    order = {"users": 1500, "items": 2, "accounts": 2, "holdings": 3, "deposits": 1, "institution": "chase"}
    made = control("PUT", "/bulk", order | {"products": ["investments", "transactions"], "activities": 6})
    items = made["items"]
    one = items[-1]
    token = one["access_token"]

    assert len({item["item_id"] for item in items}) == len({item["access_token"] for item in items}) == 3000
    listed = live.ok("/accounts/get", access_token=token)["accounts"]
    assert {(a["account_id"], a["name"], a["mask"], a["type"], a["subtype"]) for a in listed} == {
        (a["id"], a["name"], a["mask"], a["type"], a["subtype"]) for a in one["accounts"]
    }
    assert len(live.ok("/investments/holdings/get", access_token=token)["holdings"]) == 8
    assert history(live, token)["total_investment_transactions"] == 12
    assert len(bank(live, token)["added"]) == 6
    key = one["accounts"][0]["key"]
    control(
        "POST", f"/accounts/{key}/transactions", {"transactions": [{"security": "AAPL", "quantity": "1"}]}
    )
    assert history(live, token)["total_investment_transactions"] == 13
    named = control("PUT", "/bulk", {"users": ["ann", "bob"]})["items"]
    assert [item["user"] for item in named] == ["ann", "bob"]
    control("PUT", "/bulk", {"institution": "nowhere"}, expect=404)
    control("PUT", "/bulk", {"products": ["auth"]}, expect=422)


def test_a_long_history_is_served_in_pages_once_each(live: Any, control: Any) -> None:
    (item,) = control("PUT", "/bulk", {"activities": 6_000, "holdings": 20})["items"]
    seen: set[str] = set()
    while True:
        page = history(live, item["access_token"], offset=len(seen))
        seen |= {row["investment_transaction_id"] for row in page["investment_transactions"]}
        live.answers.pop()
        if len(seen) >= page["total_investment_transactions"]:
            break

    assert len(seen) == 6_000
