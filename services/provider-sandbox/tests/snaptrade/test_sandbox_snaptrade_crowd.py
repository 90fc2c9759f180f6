"""Thousands of connections at once, long and changing histories, and what SnapTrade itself says of cost and limits."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from .conftest import Caller


def crowd(live, **order):
    return live.control("POST", "/snaptrade/crowd", order)["users"]


def as_user(live, user) -> Caller:
    caller = live.commercial()
    caller.user = {"userId": user["user_id"], "userSecret": user["secret"]}
    return caller


def activities(caller, account_id, **query):
    answer = caller.get(f"/accounts/{account_id}/activities", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def only_account(live, **order):
    """One user with one account, and the account's two names."""
    (user,) = crowd(live, **order)
    (account,) = user["connections"][0]["accounts"]
    return as_user(live, user), account["id"], account["key"]


def test_a_crowd_is_there_with_every_id_and_secret(live):
    users = crowd(live, users=300, connections=3, accounts=2, holdings=1)
    assert len(users) == 300
    ids = [account["id"] for user in users for one in user["connections"] for account in one["accounts"]]
    assert len(set(ids)) == 1800
    user = users[137]
    caller = as_user(live, user)
    connections = caller.get("/authorizations").json()
    assert [one["id"] for one in connections] == [one["id"] for one in user["connections"]]
    assert len({one["brokerage"]["slug"] for one in connections}) == 3
    listed = caller.accounts()
    assert {one["id"] for one in listed} == {a["id"] for c in user["connections"] for a in c["accounts"]}
    assert all(one["sync_status"]["transactions"]["initial_sync_completed"] for one in listed)
    assert live.events() == []


@pytest.mark.parametrize(
    "order", [{"users": -1}, {"users": 1.5}, {"users": 1, "institutions": ["nowhere"]}, {"uzers": 1}]
)
def test_a_crowd_that_cannot_be_is_refused(live, order):
    live.control("POST", "/snaptrade/crowd", order, expect=400)


def test_a_prefix_is_used_once(live):
    crowd(live, users=2)
    live.control("POST", "/snaptrade/crowd", {"users": 2}, expect=400)
    assert len(crowd(live, users=2, prefix="others")) == 2


def test_every_answer_about_a_crowd_validates(live, newer_schemas):
    caller, account_id, _ = only_account(live, users=1, activities=3)
    for endpoint, path in (
        ("GET /accounts/all", "/accounts/all"),
        ("GET /authorizations", "/authorizations"),
        ("GET /accounts/{accountId}/activities", f"/accounts/{account_id}/activities"),
        ("GET /accounts/{accountId}/balanceHistory", f"/accounts/{account_id}/balanceHistory"),
        ("GET /accounts/{accountId}/orders", f"/accounts/{account_id}/orders"),
    ):
        assert newer_schemas.problems(endpoint, 200, caller.get(path).json()) == [], endpoint


def test_linking_a_login_of_the_crowd_again_gives_the_same_connection(live):
    (user,) = crowd(live, users=1, institutions=["fidelity"])
    known = user["connections"][0]
    assert as_user(live, user).connect("FIDELITY", known["username"]) == known["id"]


def test_tens_of_thousands_of_activities_are_paged_newest_first(live):
    caller, account_id, _ = only_account(live, users=1, activities=25_000)
    found = []
    for offset in (0, 1000, 12_345, 24_000):
        page = activities(caller, account_id, offset=offset)
        assert page["pagination"] == {"offset": offset, "limit": 1000, "total": 25_000}
        found += page["data"]
    assert len({row["id"] for row in found}) == len(found) == 4000
    days = [row["trade_date"] for row in found]
    assert days == sorted(days, reverse=True)
    assert caller.accounts()[0]["sync_status"]["transactions"]["first_transaction_date"] == days[-1][:10]


def test_days_pass_and_nothing_moves_until_something_is_synced(live):
    caller, account_id, _ = only_account(live, users=1, activities=4)
    before, rows = caller.accounts(), activities(caller, account_id)
    live.clock.move(days=2)
    assert caller.accounts() == before
    assert activities(caller, account_id) == rows
    assert live.control("POST", "/snaptrade/sync", {"announce": False}) == {"synced": 1}
    (after,) = caller.accounts()
    through = date.fromisoformat(after["sync_status"]["transactions"]["last_successful_sync"])
    assert through == (live.clock() - timedelta(days=1)).date()
    assert activities(caller, account_id) == rows
    assert live.events() == []


def test_a_list_of_all_accounts_is_of_the_last_sync_on_the_realtime_plan_too(live):
    live.control("PUT", "/snaptrade", {"plan": "realtime"})
    (user,) = crowd(live, users=1)
    caller, connection = as_user(live, user), user["connections"][0]["id"]
    before = caller.accounts()
    live.clock.move(minutes=5)
    assert caller.accounts() == before
    (account,) = caller.get(f"/connections/{connection}/accounts").json()["results"]
    assert account["sync_status"]["positions"] > before[0]["sync_status"]["positions"]


def test_new_activities_come_with_a_sync_and_an_event(live):
    caller, account_id, key = only_account(live, users=1, activities=4)
    today = live.clock().astimezone(UTC)
    rows = [
        {"type": "BUY", "trade_date": today.isoformat(), "amount": -5},
        {"type": "SELL", "trade_date": (today - timedelta(days=3)).isoformat()},
        {"type": "CONTRIBUTION", "trade_date": None},
    ]
    told = live.control("POST", f"/snaptrade/accounts/{key}/activities", {"rows": rows})
    assert told["announced"] == 1
    assert live.event_types() == ["ACCOUNT_TRANSACTIONS_UPDATED"]
    page = activities(caller, account_id)
    assert page["pagination"]["total"] == 6  # today's is not there before tomorrow's sync
    assert {"SELL", "CONTRIBUTION"} <= {row["type"] for row in page["data"]}
    start = (today - timedelta(days=30)).date().isoformat()
    assert activities(caller, account_id, startDate=start)["pagination"]["total"] == 5
    live.clock.move(days=1)
    live.control("POST", "/snaptrade/sync", {"transactions": True})
    assert activities(caller, account_id)["data"][0]["amount"] == -5
    assert live.event_types()[-2:] == ["ACCOUNT_HOLDINGS_UPDATED", "ACCOUNT_TRANSACTIONS_UPDATED"]


def test_what_is_not_announced_is_not_seen_before_a_sync_unless_it_shall_be(live):
    caller, account_id, key = only_account(live, users=1, activities=4)
    live.clock.move(seconds=1)
    path, row = f"/snaptrade/accounts/{key}/activities", {"type": "FEE"}
    live.control("POST", path, {"rows": [row], "announce": False})
    assert activities(caller, account_id)["pagination"]["total"] == 4
    live.control("POST", path, {"rows": [row], "at_once": True})
    assert activities(caller, account_id)["pagination"]["total"] == 5
    live.control("POST", "/snaptrade/sync", {})
    assert activities(caller, account_id)["pagination"]["total"] == 6


def test_activities_are_taken_back_and_get_new_ids(live):
    caller, account_id, key = only_account(live, users=1, activities=6)
    path = f"/snaptrade/accounts/{key}/activities"
    live.control("POST", path, {"rows": [{"type": "FEE"}, {"id": None, "type": "TAX"}]})
    before = activities(caller, account_id)["data"]
    gone = [before[0]["id"] if "id" in before[0] else before[1]["id"], before[-1]["id"]]
    live.control("DELETE", path, {"ids": gone})
    left = activities(caller, account_id)["data"]
    assert [row.get("id") for row in left] == [row.get("id") for row in before if row.get("id") not in gone]
    live.control("PUT", path, {"reimport": True})
    again = activities(caller, account_id)["data"]
    named = [{row["id"] for row in rows if "id" in row} for rows in (left, again)]
    assert not named[0] & named[1]
    contents = [[{**row, "id": None} for row in rows] for rows in (left, again)]
    assert contents[0] == contents[1]
    live.control("PUT", path, {"count": 50})
    assert activities(caller, account_id)["pagination"]["total"] >= 50


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PUT", {"count": -1}),
        ("POST", {"rows": [1]}),
        ("POST", {"rows": [{"trade_date": "soon"}]}),
        ("DELETE", {}),
    ],
)
def test_an_order_about_activities_that_makes_no_sense_is_refused(live, method, body):
    _, _, key = only_account(live, users=1)
    live.control(method, f"/snaptrade/accounts/{key}/activities", body, expect=400)


def test_orders_are_given_and_keep_their_time(live, newer_schemas):
    caller, account_id, key = only_account(live, users=1)
    path = f"/accounts/{account_id}/orders"
    before = caller.get(path).json()
    for symbol in ("AAPL", "AAPL280121C00250000"):
        order = {"id": "o-1", "security": symbol, "status": "PENDING", "quantity": "3"}
        live.control("POST", f"/snaptrade/accounts/{key}/orders", order)
    live.clock.move(minutes=10)
    found = caller.get(path).json()
    assert newer_schemas.problems("GET /accounts/{accountId}/orders", 200, found) == []
    assert [one["brokerage_order_id"] for one in found[:2]] == ["o-1", "o-1"]
    assert found[2:] == before
    live.control("POST", f"/snaptrade/accounts/{key}/orders", {"security": "nothing"}, expect=404)


def test_the_invoice_has_a_line_for_each_refresh_that_was_taken(live):
    users = crowd(live, users=2)
    for user in users:
        path = f"/authorizations/{user['connections'][0]['id']}/refresh"
        assert as_user(live, user).post(path).status_code == 200
        assert as_user(live, user).post(path).status_code == 429
    bill = live.control("GET", "/snaptrade/invoice")
    assert Decimal(bill["total"]) == Decimal("0.10")
    assert [line["user"] for line in bill["lines"]] == [user["user_id"] for user in users]
    assert all(datetime.fromisoformat(line["at"]) for line in bill["lines"])


def test_every_call_beyond_a_limit_is_counted(live):
    live.control("PUT", "/rate-limit", {"name": "snaptrade", "limit": 3})
    caller, _, _ = only_account(live, users=1)
    statuses = [caller.get("/authorizations").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert live.control("GET", "/snaptrade/limits")["customer"] == {"violations": 2, "peak": 3}
    live.control("POST", "/reset")
    assert live.control("GET", "/snaptrade/limits")["customer"] == {"violations": 0, "peak": 0}
