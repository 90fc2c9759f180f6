"""Orders, performance, portfolio history and sync runs, as the portfolio's views publish them."""

import json
import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Json

from contracts.ids import portfolio_id
from gateway.rates.port import Rate
from gateway.reads.history import Range, Worth, converted, filled

NOW = datetime.fromisoformat("2026-11-21T14:30:00+00:00")
INSTRUMENT = {"key": "AAPL", "kind": "stock", "symbol": "AAPL", "multiplier": "1"}


def ordered(seed, account, number, user="alice", **more):
    row = {
        "user_id": user,
        "account_id": account,
        "broker_order_id": number,
        "version": 1,
        "status": "filled",
        "raw_status": "EXECUTED",
        "side": "buy",
        "instrument_key": "AAPL",
        "instrument": Json(INSTRUMENT),
        "order_type": "limit",
        "time_in_force": "day",
        "quantity": "10.0",
        "limit_price": "231.50",
        "currency": "USD",
        "placed_at": NOW,
    } | more
    seed.insert("orders", **row)


def ran(seed, connection, number, user="alice", **more):
    row = {
        "user_id": user,
        "run_id": f"run-{number}",
        "connection_id": connection,
        "provider": "snaptrade",
        "institution": "charles-schwab",
        "kind": "incremental",
        "trigger": "schedule",
        "status": "completed",
        "accounts": 2,
        "holdings": 5,
        "provider_calls": 3,
        "cost_amount": "0",
        "cost_currency": "USD",
        "started_at": NOW - timedelta(minutes=number),
        "finished_at": NOW - timedelta(minutes=number) + timedelta(seconds=1.5),
        "version": 1,
    } | more
    seed.insert("sync_log", **row)


def worth(seed, portfolio, day, value, currency="USD", user="alice", complete=True):
    seed.insert(
        "portfolio_history", user_id=user, portfolio_id=portfolio, day=day, currency=currency,
        market_value=value, complete=complete, at=NOW,
    )  # fmt: skip


@pytest.fixture
def connection(seed):
    return seed.connection()


@pytest.fixture
def account(seed, connection):
    return seed.account(connection)


async def numbers(api, path="/v1/orders", **query):
    return [item["broker_order_id"] for item in (await api.get(path, params=query)).json()["items"]]


async def test_orders_come_newest_first_over_all_accounts_and_of_one(api, seed, account):
    other = seed.account(seed.connection())
    ordered(seed, account, "1")
    ordered(seed, account, "2", placed_at=NOW + timedelta(hours=1), status="pending")
    ordered(seed, other, "3", placed_at=None, first_seen_at=NOW - timedelta(days=1))
    ordered(seed, other, "4", instrument_key="TSLA", instrument=Json(INSTRUMENT | {"symbol": "TSLA"}),
            placed_at=NOW - timedelta(hours=1))  # fmt: skip
    assert await numbers(api) == ["2", "1", "4", "3"]
    assert await numbers(api, status="filled") == ["1", "4", "3"]
    assert await numbers(api, status=["pending", "canceled"]) == ["2"]
    assert await numbers(api, symbol="tsla") == ["4"]
    assert await numbers(api, account=other) == ["4", "3"]
    assert await numbers(api, f"/v1/accounts/{account}/orders") == ["2", "1"]
    item = (await api.get("/v1/orders", params={"symbol": "TSLA"})).json()["items"][0]
    assert (item["quantity"], item["limit_price"], item["stop_price"]) == ("10", "231.5", None)
    assert item["instrument"]["symbol"] == "TSLA"


async def test_pages_of_orders_meet(api, seed, account):
    other = seed.account(seed.connection())
    for n in range(7):
        ordered(seed, account if n % 2 else other, str(n), placed_at=NOW + timedelta(minutes=n // 3))
    expected, seen, cursor = await numbers(api), [], None
    while True:
        page = (
            await api.get("/v1/orders", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [item["broker_order_id"] for item in page["items"]]
        ordered(seed, account, f"new-{len(seen)}", placed_at=NOW + timedelta(days=1))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == expected
    assert len(set(seen)) == 7


async def test_orders_of_a_duplicate_account_are_told_once(api, seed, account):
    twin = seed.account(seed.connection(provider="plaid"), provider="plaid")
    seed._conn.execute(
        "UPDATE portfolio.accounts SET real_account_id = %s WHERE account_id = %s",
        (seed.reals[account], twin),
    )
    ordered(seed, account, "mine")
    ordered(seed, twin, "again")
    assert await numbers(api) == ["mine"]
    assert set(await numbers(api, duplicates=True)) == {"mine", "again"}
    assert await numbers(api, account=twin) == ["again"]


async def test_orders_of_an_account_that_was_linked_again_are_told_once(api, seed, account):
    before = seed.account(seed.connection(status="removed"), gone=True)
    ordered(seed, account, "now")
    ordered(seed, before, "then")
    assert await numbers(api) == ["now"]
    assert set(await numbers(api, duplicates=True)) == {"now", "then"}


async def test_performance_is_the_providers_series_and_returns(api, seed, account):
    for day, total in ((19, "100.50"), (20, "101")):
        seed.insert(
            "balance_history", user_id="alice", account_id=account, day=date(2026, 11, day), total=total
        )
    returns = [{"period": "1Y", "rate": "0.0710"}, {"period": "ALL", "rate": "-0.2"}]
    seed.insert("performance", user_id="alice", account_id=account, version=1, currency="CAD",
                returns=Json(returns), as_of=NOW, synced_at=NOW)  # fmt: skip
    path = f"/v1/accounts/{account}/performance"
    body = (await api.get(path)).json()
    assert (body["currency"], body["reason"]) == ("CAD", None)
    assert body["points"] == [{"day": "2026-11-19", "total": "100.5"}, {"day": "2026-11-20", "total": "101"}]
    assert body["returns"] == [{"period": "1Y", "rate": "0.071"}, {"period": "ALL", "rate": "-0.2"}]
    later = (await api.get(path, params={"start_date": "2026-11-20"})).json()
    assert [point["day"] for point in later["points"]] == ["2026-11-20"]
    none = (await api.get(path, params={"start_date": "2026-11-21"})).json()
    assert (none["points"], none["reason"]) == ([], "nothing_in_range")


async def test_performance_that_nobody_tells_is_empty_and_says_why(api, seed, account):
    body = (await api.get(f"/v1/accounts/{account}/performance")).json()
    assert (body["points"], body["returns"], body["reason"]) == ([], [], "nothing_reported")
    by_hand = seed.account(seed.connection(provider="manual"), provider="manual")
    assert (await api.get(f"/v1/accounts/{by_hand}/performance")).json()["reason"] == "manual_account"


async def test_history_carries_the_last_totals_over_days_without_any(api, seed):
    portfolio = portfolio_id("alice")
    worth(seed, portfolio, date(2026, 11, 10), "90")
    worth(seed, portfolio, date(2026, 11, 17), "100.50")
    worth(seed, portfolio, date(2026, 11, 17), "7", "EUR", complete=False)
    worth(seed, portfolio, date(2026, 11, 20), "110")
    query = {"start_date": "2026-11-16", "end_date": "2026-12-31"}
    body = (await api.get("/v1/portfolio/history", params=query)).json()
    assert (body["start_date"], body["end_date"]) == ("2026-11-16", "2026-11-21")
    assert [(p["day"][-2:], p["carried"], p["computed_on"][-2:]) for p in body["points"]] == [
        ("16", True, "10"), ("17", False, "17"), ("18", True, "17"), ("19", True, "17"), ("20", False, "20"),
        ("21", True, "20"),
    ]  # fmt: skip
    assert body["points"][2]["totals"] == [
        {"currency": "EUR", "market_value": "7", "complete": False},
        {"currency": "USD", "market_value": "100.5", "complete": True},
    ]
    assert body["points"][-1]["totals"] == [{"currency": "USD", "market_value": "110", "complete": True}]


async def test_history_begins_with_the_first_day_that_is_known(api, seed):
    worth(seed, portfolio_id("alice"), date(2026, 11, 20), "1")
    body = (await api.get("/v1/portfolio/history")).json()
    assert body["start_date"] == "2026-08-23"
    assert [point["day"] for point in body["points"]] == ["2026-11-20", "2026-11-21"]
    assert (await api.get("/v1/portfolio/history", "bob")).json()["points"] == []
    past = {"start_date": "2026-11-01", "end_date": "2026-11-10"}
    assert (await api.get("/v1/portfolio/history", params=past)).json()["points"] == []


class TestInABase:
    @pytest.fixture
    def settings(self, make_settings):
        return make_settings(fx_rates={"EUR": Decimal("0.92")}, fx_rates_as_of=NOW)

    async def test_history_in_a_base_lists_what_has_no_rate(self, api, seed):
        portfolio = portfolio_id("alice")
        worth(seed, portfolio, date(2026, 11, 21), "100")
        worth(seed, portfolio, date(2026, 11, 21), "5", "GBP")
        query = {"start_date": "2026-11-21", "base_currency": "EUR"}
        (point,) = (await api.get("/v1/portfolio/history", params=query)).json()["points"]
        assert point["base"] == {
            "currency": "EUR",
            "market_value": "92",
            "complete": False,
            "rates": [
                {"currency": "USD", "rate": "0.92", "as_of": "2026-11-21T14:30:00+00:00", "source": "table"}
            ],
            "without_rate": ["GBP"],
        }


@pytest.mark.parametrize(
    "query",
    [
        {"start_date": "2026-11-20", "end_date": "2026-11-19"},
        {"start_date": "2026-11-22"},
        {"start_date": "2001-01-01"},
        {"base_currency": "ZZZ"},
        {"start_date": "0001-01-01", "end_date": "0001-01-02", "base_currency": "ZZZ"},
    ],
)
async def test_a_history_that_cannot_be_is_refused(api, query):
    answer = await api.get("/v1/portfolio/history", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    "query", [{"end_date": "0001-01-01"}, {"start_date": "0001-01-01", "end_date": "0001-01-02"}]
)
async def test_the_first_days_of_the_calendar_are_days_too(api, query):
    assert (await api.get("/v1/portfolio/history", params=query)).status_code in {200, 422}


days = st.integers(min_value=0, max_value=40).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
totals = st.lists(
    st.builds(
        Worth, st.sampled_from(["USD", "EUR", "GBP"]), st.decimals("-1e17", "1e17", places=10), st.booleans()
    ),
    max_size=3,
    unique_by=lambda one: one.currency,
).map(tuple)


@given(st.dictionaries(days, totals, max_size=8), days, days)
def test_every_day_of_the_range_shows_the_newest_totals_before_its_end(known, one, other):
    wanted = Range(min(one, other), max(one, other))
    points = {point.day: point for point in filled(known, wanted)}
    for n in range((wanted.end - wanted.start).days + 1):
        day = wanted.start + timedelta(days=n)
        newest = max((past for past in known if past <= day), default=None)
        if newest is None:
            assert day not in points
        else:
            assert (points[day].computed_on, points[day].totals) == (newest, known[newest])


@given(totals)
def test_what_is_converted_is_exact_to_the_tenth_place(held):
    rates = {"USD": Rate(Decimal("1.16455696202531646"), NOW, "x"), "EUR": Rate(Decimal(1), NOW, "identity")}
    found = converted(held, rates, "EUR")
    exact = sum(
        (round_half_away(int(one.market_value.scaleb(10)), rates[one.currency].value)
         for one in held if one.currency in rates), 0,
    )  # fmt: skip
    assert Decimal(found["market_value"]) == Decimal(exact).scaleb(-10)
    assert found["without_rate"] == [one.currency for one in held if one.currency == "GBP"]


def round_half_away(units: int, rate: Decimal) -> int:
    scale = 10**17
    value = units * int(rate.scaleb(17))
    whole, rest = divmod(abs(value), scale)
    return (whole + (2 * rest >= scale)) * (1 if value >= 0 else -1)


async def test_sync_runs_come_newest_first_with_counts_costs_and_how_long(api, seed, connection):
    ran(
        seed,
        connection,
        3,
        cost_amount="0.0500",
        covers_from=date(2026, 11, 1),
        covers_through=date(2026, 11, 20),
    )
    ran(seed, connection, 2, status="failed", error_code="PROVIDER_DOWN", error="away", unchanged=1)
    ran(seed, connection, 1, status="started", finished_at=None)
    seed.insert("sync_counts", user_id="alice", run_id="run-3", new_items=4, updated_items=1)
    path = f"/v1/connections/{connection}/syncs"
    items = (await api.get(path)).json()["items"]
    assert [item["run_id"] for item in items] == ["run-1", "run-2", "run-3"]
    running, failed, paid = items
    assert (running["finished_at"], running["seconds"]) == (None, None)
    assert (failed["error_code"], failed["unchanged"]) == ("PROVIDER_DOWN", 1)
    assert (paid["cost"], paid["seconds"]) == ({"amount": "0.05", "currency": "USD"}, "1.5")
    assert (paid["new_items"], paid["updated_items"]) == (4, 1)
    assert paid["coverage"] == {"from": "2026-11-01", "through": "2026-11-20"}
    first = (await api.get(path, params={"limit": 2})).json()
    ran(seed, connection, 0)
    rest = (await api.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([item["run_id"] for item in rest["items"]], rest["next_cursor"]) == (["run-3"], None)


async def test_nobody_reads_what_is_anothers(api, seed, connection, account):
    ordered(seed, account, "1")
    ran(seed, connection, 1)
    for path in (
        f"/v1/accounts/{account}/orders",
        f"/v1/accounts/{account}/performance",
        f"/v1/connections/{connection}/syncs",
        f"/v1/orders?account={account}",
        "/v1/portfolio/history?portfolio=growth",
        f"/v1/accounts/{uuid.uuid4()}/performance",
        "/v1/accounts/none/orders",
        "/v1/connections/none/syncs",
    ):
        assert (await api.get(path, "bob")).status_code == 404, path
    assert await numbers(api) == ["1"]
    assert (await api.get("/v1/orders", "bob")).json()["items"] == []


async def test_unchanged_answers_are_304(api, seed, connection, account):
    ordered(seed, account, "1")
    ran(seed, connection, 1)
    worth(seed, portfolio_id("alice"), date(2026, 11, 20), "1")
    for path in (
        "/v1/orders",
        f"/v1/accounts/{account}/orders",
        f"/v1/accounts/{account}/performance",
        f"/v1/connections/{connection}/syncs",
        "/v1/portfolio/history?base_currency=EUR",
    ):
        first = await api.get(path)
        assert json.loads(first.text)
        again = await api.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
