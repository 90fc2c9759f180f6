"""Transactions page by page while the provider's list changes under the reader's hands, and the reader crashes."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.accounts import AccountType, ProviderAccount
from contracts.connectors import AccountTransactions, TransactionPage
from contracts.errors import ErrorCode, ProviderError
from service_kit.metrics import Metrics
from snaptrade_connector import progress
from snaptrade_connector.client import Calls, SnapTradeClient
from snaptrade_connector.signing import SnapTradeAuth
from snaptrade_connector.streams import Streams

TODAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PAGE = 10


def row(name: str | None, day: date, **members: Any) -> dict[str, Any]:
    made = {
        "id": name,
        "type": "BUY",
        "units": 1,
        "price": 2,
        "amount": -2,
        "currency": {"code": "USD"},
        "description": name or "unnamed",
        "trade_date": f"{day.isoformat()}T00:00:00Z",
        "settlement_date": f"{day.isoformat()}T00:00:00Z",
        "fee": 0,
    }
    return made | members


def past(count: int, through: date, per_day: int = 2) -> list[dict[str, Any]]:
    """So many activities, newest first."""
    return [row(f"act-{count - n}", through - DAY * (n // per_day)) for n in range(count)]


@dataclass
class Provider:
    """SnapTrade with accounts whose lists a test changes."""

    rows: dict[str, list[dict[str, Any]]]
    failing: dict[str, httpx.Response] = field(default_factory=dict)
    asked: list[httpx.URL] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        account, query = request.url.path.split("/")[2], request.url.params
        if account in self.failing:
            return self.failing[account]
        start, offset, limit = query.get("startDate", ""), int(query["offset"]), int(query["limit"])
        every = [one for one in self.rows[account] if not start or (one["trade_date"] or "")[:10] >= start]
        page = {"data": every[offset : offset + limit], "pagination": {"total": len(every)}}
        return httpx.Response(200, json=page)


@dataclass
class Ledger:
    """What a consolidator keeps: rows by their id with the version they were last told in."""

    told: dict[str, tuple[int, msgspec.Struct]] = field(default_factory=dict)
    covers: tuple[date | None, date | None] = (None, None)

    def apply(self, part: AccountTransactions, version: int) -> None:
        for one in part.transactions:
            self.told[one.external_id] = (version, one)
        if part.covers_through:
            self.covers = (part.covers_from, part.covers_through)
        if (sweep := part.sweep) is not None:
            self.told = {
                name: (then, one)
                for name, (then, one) in self.told.items()
                if then >= sweep.since_version
                or one.booked_on is None
                or not sweep.from_date <= one.booked_on <= sweep.through
            }

    @property
    def names(self) -> list[str]:
        return sorted(self.told)


def account(name: str = "a", through: date | None = None, begins: date | None = None) -> ProviderAccount:
    return ProviderAccount(
        account_id=f"our-{name}",
        external_id=name,
        name=name,
        type=AccountType.BROKERAGE,
        raw_type=None,
        currency="USD",
        transactions_through=through,
        transactions_from=begins,
    )


class Reader:
    """The engine's side: it saves the cursor after each page, and may lose what came after the last save."""

    def __init__(self, provider: Provider, page: int = PAGE) -> None:
        self.now = TODAY
        self.version = 0
        self.cursor: str | None = None
        self.ledgers: dict[str, Ledger] = {}
        client = SnapTradeClient(
            httpx.MockTransport(provider.answer),
            "https://snaptrade.test",
            SnapTradeAuth("client", "key"),
            Calls(Metrics("test")),
        )
        self.streams = Streams(client, lambda: self.now, page, timedelta(hours=24))

    def ledger(self, name: str = "a") -> Ledger:
        return self.ledgers.setdefault(f"our-{name}", Ledger())

    async def page(self, *accounts: ProviderAccount, save: bool = True) -> TransactionPage:
        page = await self.streams.transactions(None, list(accounts), self.cursor, self.version)
        for part in page.parts:
            self.ledgers.setdefault(part.account_id, Ledger()).apply(part, self.version)
        if save:
            self.cursor = page.cursor
        return page

    async def run(self, *accounts: ProviderAccount) -> int:
        """One run to its end; how many pages it took."""
        self.version += 1
        for count in range(1, 200):
            if not (await self.page(*accounts)).has_more:
                return count
        raise AssertionError("a run that never ends")


YESTERDAY = (TODAY - DAY).date()


async def test_a_whole_history_is_read_page_by_page_and_then_known_whole():
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    begins = YESTERDAY - DAY * 17
    assert await reader.run(account(through=YESTERDAY, begins=begins)) == 4
    assert len(reader.ledger().names) == 35
    assert reader.ledger().covers == (begins, YESTERDAY)
    assert all("startDate" not in url.params for url in provider.asked)


async def test_what_was_read_is_not_asked_again_without_news():
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY))
    calls, cursor = len(provider.asked), reader.cursor
    reader.now += DAY * 3
    page = await reader.page(account(through=YESTERDAY))
    assert (page.parts, page.cursor, page.has_more) == ([], cursor, False)
    assert len(provider.asked) == calls


async def test_a_day_is_the_least_between_two_readings():
    provider = Provider({"a": past(5, YESTERDAY)})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY))
    reader.now += timedelta(hours=23)
    await reader.run(account(through=YESTERDAY + DAY))
    assert len(provider.asked) == 1
    reader.now += timedelta(hours=1)
    await reader.run(account(through=YESTERDAY + DAY))
    assert len(provider.asked) == 2


async def test_later_only_the_days_since_some_before_the_last_are_read():
    provider = Provider({"a": past(100, YESTERDAY)})
    reader = Reader(provider, page=50)
    await reader.run(account(through=YESTERDAY, begins=date(2026, 10, 2)))
    provider.rows["a"].insert(0, row("new", YESTERDAY + DAY))
    late = row("late", YESTERDAY - DAY * 5)
    provider.rows["a"].insert(11, late)
    reader.now += DAY
    assert await reader.run(account(through=YESTERDAY + DAY, begins=date(2026, 10, 2))) == 1
    assert provider.asked[-1].params["startDate"] == (YESTERDAY - progress.OVERLAP).isoformat()
    assert {"new", "late"} <= set(reader.ledger().names)
    assert len(reader.ledger().names) == 102
    assert reader.ledger().covers == (date(2026, 10, 2), YESTERDAY + DAY)


async def test_what_was_taken_back_within_the_days_read_again_is_retracted():
    provider = Provider({"a": past(100, YESTERDAY)})
    reader = Reader(provider, page=50)
    await reader.run(account(through=YESTERDAY))
    gone = provider.rows["a"].pop(7)["id"]
    reader.now += DAY
    await reader.run(account(through=YESTERDAY + DAY))
    assert gone not in reader.ledger().names
    assert len(reader.ledger().names) == 99


async def test_new_ids_after_a_reimport_double_nothing():
    provider = Provider({"a": past(30, YESTERDAY)})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY))
    provider.rows["a"] = [one | {"id": f"again-{one['id']}"} for one in provider.rows["a"]]
    reader.now += DAY * 8  # the whole history is due again
    await reader.run(account(through=YESTERDAY + DAY * 8))
    assert reader.ledger().names == sorted(one["id"] for one in provider.rows["a"])


@pytest.mark.parametrize("change", ["grows", "shrinks", "moves"])
async def test_a_list_that_changes_between_two_pages_is_read_from_its_beginning(change):
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    reader.version = 1
    await reader.page(account(through=YESTERDAY))
    if change != "shrinks":
        provider.rows["a"].insert(0, row("top", YESTERDAY))
    if change != "grows":
        del provider.rows["a"][5]
    if (
        change == "moves"
    ):  # the total is what it was, but a row that was read is now among those that were not
        provider.rows["a"].append(provider.rows["a"].pop(3))
        provider.rows["a"].insert(9, row("between", YESTERDAY))
        del provider.rows["a"][-1]
    page = await reader.page(account(through=YESTERDAY))
    assert (page.parts, page.has_more) == ([], True)
    while (await reader.page(account(through=YESTERDAY))).has_more:
        pass
    assert set(reader.ledger().names) >= {one["id"] for one in provider.rows["a"]}


async def test_what_vanished_while_a_run_began_again_is_retracted_by_the_next_reading():
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    reader.version = 1
    await reader.page(account(through=YESTERDAY))
    gone = provider.rows["a"].pop(3)["id"]
    while (await reader.page(account(through=YESTERDAY))).has_more:
        pass
    assert gone in reader.ledger().names  # told in this very run: nothing tells it from the rest
    reader.now += DAY
    await reader.run(account(through=YESTERDAY))
    assert reader.ledger().names == sorted(one["id"] for one in provider.rows["a"])


async def test_what_vanished_before_a_later_run_began_again_is_retracted_by_that_run():
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    reader.version = 1
    await reader.page(account(through=YESTERDAY))
    provider.rows["a"].pop(3)
    await reader.run(account(through=YESTERDAY))
    assert reader.ledger().names == sorted(one["id"] for one in provider.rows["a"])


async def test_another_total_begins_a_window_again_even_where_no_row_read_has_moved():
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    reader.version = 1
    await reader.page(account(through=YESTERDAY))
    provider.rows["a"].append(row("older", YESTERDAY - DAY * 90))
    page = await reader.page(account(through=YESTERDAY))
    assert (page.parts, page.has_more) == ([], True)
    assert json.loads(page.cursor)["accounts"]["a"]["window"].get("offset", 0) == 0


async def test_the_same_page_twice_is_not_taken_for_the_next_one():
    rows = past(35, YESTERDAY)
    provider = Provider({"a": rows})
    reader = Reader(provider)
    reader.version = 1
    await reader.page(account(through=YESTERDAY))
    first = {"data": rows[:PAGE], "pagination": {"total": 35}}
    provider.failing["a"] = httpx.Response(200, json=first)
    page = await reader.page(account(through=YESTERDAY))
    assert page.parts == []
    del provider.failing["a"]
    while (await reader.page(account(through=YESTERDAY))).has_more:
        pass
    assert len(reader.ledger().names) == 35


async def test_a_list_that_never_rests_is_left_to_the_next_run_and_stops_nobody():
    provider = Provider({"a": past(35, YESTERDAY), "b": past(15, YESTERDAY)})
    reader = Reader(provider)
    reader.version = 1
    for number in range(20):
        provider.rows["a"].insert(0, row(f"more-{number}", YESTERDAY))
        page = await reader.page(account("a", YESTERDAY), account("b", YESTERDAY))
        if not page.has_more:
            break
    assert not page.has_more
    assert len(reader.ledger("b").names) == 15
    await reader.run(account("a", YESTERDAY), account("b", YESTERDAY))
    assert len(reader.ledger("a").names) == len(provider.rows["a"])


@pytest.mark.parametrize("crash_after", range(1, 5))
async def test_a_crash_after_any_page_loses_and_doubles_nothing(crash_after):
    provider = Provider({"a": past(35, YESTERDAY), "b": past(12, YESTERDAY)})
    reader = Reader(provider)
    both = account("a", YESTERDAY), account("b", YESTERDAY)
    reader.version = 1
    for number in range(1, crash_after + 1):
        await reader.page(*both, save=number < crash_after)  # published, but the cursor was not saved
    await reader.run(*both)
    assert len(reader.ledger("a").names) == 35
    assert len(reader.ledger("b").names) == 12


async def test_identical_trades_without_ids_stay_as_many_across_pages_and_readings():
    twins = [row(None, YESTERDAY) for _ in range(25)]
    provider = Provider({"a": [*twins, *past(8, YESTERDAY - DAY)]})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY))
    first = reader.ledger().names
    assert len(first) == 33
    reader.now += DAY
    provider.rows["a"].insert(25, row(None, YESTERDAY))
    await reader.run(account(through=YESTERDAY + DAY))
    assert len(reader.ledger().names) == 34
    assert set(first) < set(reader.ledger().names)


async def test_identical_trades_with_ids_are_two():
    provider = Provider(
        {"a": [row("x-1", YESTERDAY, description="same"), row("x-2", YESTERDAY, description="same")]}
    )
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY))
    assert reader.ledger().names == ["x-1", "x-2"]


async def test_an_account_whose_first_sync_runs_is_not_asked_and_later_read_whole():
    provider = Provider({"a": past(5, YESTERDAY)})
    reader = Reader(provider)
    page = await reader.page(account(through=None))
    assert (page.parts, page.has_more, provider.asked) == ([], False, [])
    await reader.run(account(through=YESTERDAY))
    assert len(reader.ledger().names) == 5


async def test_a_new_account_begins_with_its_whole_history_beside_one_that_is_known():
    provider = Provider({"a": past(35, YESTERDAY), "b": past(15, YESTERDAY)})
    reader = Reader(provider)
    await reader.run(account("a", YESTERDAY))
    calls = len(provider.asked)
    await reader.run(account("a", YESTERDAY), account("b", YESTERDAY))
    assert len(reader.ledger("b").names) == 15
    assert {url.path.split("/")[2] for url in provider.asked[calls:]} == {"b"}


async def test_a_history_that_reaches_further_back_than_before_is_read_whole():
    provider = Provider({"a": past(5, YESTERDAY)})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY, begins=YESTERDAY - DAY * 2))
    provider.rows["a"] += [row("older", YESTERDAY - DAY * 400)]
    reader.now += DAY
    begins = YESTERDAY - DAY * 400
    await reader.run(account(through=YESTERDAY, begins=begins))
    assert "older" in reader.ledger().names
    assert reader.ledger().covers[0] == begins


async def test_a_history_that_became_shorter_erases_nothing_older():
    provider = Provider({"a": past(60, YESTERDAY)})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY, begins=YESTERDAY - DAY * 29))
    provider.rows["a"] = provider.rows["a"][:20]
    reader.now += DAY * 8
    await reader.run(account(through=YESTERDAY + DAY, begins=YESTERDAY - DAY * 9))
    assert len(reader.ledger().names) == 60


async def test_a_history_that_is_suddenly_empty_erases_nothing():
    provider = Provider({"a": past(6, YESTERDAY)})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY))
    provider.rows["a"] = []
    reader.now += DAY * 8
    await reader.run(account(through=YESTERDAY + DAY))
    assert len(reader.ledger().names) == 6


async def test_rows_without_a_trade_date_are_not_retracted_by_a_range_that_cannot_hold_them():
    undated = row("undated", YESTERDAY, trade_date=None)
    provider = Provider({"a": [undated, *past(6, YESTERDAY)]})
    reader = Reader(provider)
    await reader.run(account(through=YESTERDAY))
    reader.now += DAY
    await reader.run(account(through=YESTERDAY + DAY))
    assert provider.asked[-1].params.get("startDate")
    assert "undated" in reader.ledger().names


async def test_an_empty_page_in_the_middle_is_no_end():
    provider = Provider({"a": past(35, YESTERDAY)})
    provider.failing["a"] = httpx.Response(200, json={"data": [], "pagination": {"total": 35}})
    reader = Reader(provider)
    with pytest.raises(ProviderError) as raised:
        await reader.page(account(through=YESTERDAY))
    assert raised.value.code is ErrorCode.PROVIDER_PROTOCOL
    assert reader.cursor is None


async def test_where_no_total_is_told_a_short_page_is_the_last():
    provider = Provider({"a": past(3, YESTERDAY)})
    provider.failing["a"] = httpx.Response(200, json={"data": past(3, YESTERDAY)})
    reader = Reader(provider)
    assert await reader.run(account(through=YESTERDAY)) == 1
    assert len(reader.ledger().names) == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [(425, {"code": "3012"}), (404, {"code": "1011"}), (403, {"code": "1141"}), (501, {"error": "no"})],
)
async def test_an_account_that_cannot_be_read_now_stops_no_other(status, body):
    provider = Provider({"a": [], "b": past(5, YESTERDAY)})
    provider.failing["a"] = httpx.Response(status, json=body)
    reader = Reader(provider)
    await reader.run(account("a", YESTERDAY), account("b", YESTERDAY))
    assert len(reader.ledger("b").names) == 5
    assert reader.ledger("a").names == []


async def test_an_account_without_transactions_is_asked_again_in_a_week_and_one_not_ready_in_the_next_run():
    provider = Provider({"a": past(2, YESTERDAY), "b": past(3, YESTERDAY)})
    provider.failing = {"a": httpx.Response(501, json={}), "b": httpx.Response(425, json={"code": "3012"})}
    reader, both = Reader(provider), (account("a", YESTERDAY), account("b", YESTERDAY))
    await reader.run(*both)
    provider.failing.clear()
    await reader.run(*both)
    assert (len(reader.ledger("a").names), len(reader.ledger("b").names)) == (0, 3)
    reader.now += DAY * 7
    await reader.run(*both)
    assert len(reader.ledger("a").names) == 2


async def test_a_failing_provider_leaves_the_cursor_where_it_was():
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    reader.version = 1
    await reader.page(account(through=YESTERDAY))
    cursor = reader.cursor
    provider.failing["a"] = httpx.Response(429, json={"code": "throttled"}, headers={"Retry-After": "7"})
    with pytest.raises(ProviderError) as raised:
        await reader.page(account(through=YESTERDAY))
    assert (raised.value.code, reader.cursor) == (ErrorCode.RATE_LIMITED, cursor)


@pytest.mark.parametrize("cursor", ["", "x", "[]", '{"v":99}', '{"v":1,"accounts":{"a":7}}', "{" * 100_000])
def test_a_cursor_nobody_can_read_is_as_none(cursor):
    assert progress.parsed(cursor).accounts == {}


async def test_the_cursor_stays_small_and_comes_back_as_it_was():
    provider = Provider({"a": past(35, YESTERDAY)})
    reader = Reader(provider)
    reader.version = 1
    await reader.page(account(through=YESTERDAY))
    assert reader.cursor is not None
    assert len(reader.cursor) < 400
    assert progress.written(progress.parsed(reader.cursor)) == reader.cursor
    assert json.loads(reader.cursor)["accounts"]["a"]["window"]["offset"] == PAGE


CHANGES = st.lists(
    st.tuples(st.sampled_from(["insert", "delete", "crash", "run", "reimport"]), st.integers(0, 40)),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), CHANGES)
def test_whatever_happened_between_the_pages_two_quiet_weeks_later_all_is_as_the_provider_says(
    count, changes
):
    async def play() -> None:
        provider = Provider({"a": past(count, YESTERDAY)})
        reader = Reader(provider)
        reader.version = 1
        for number, (what, where) in enumerate(changes):
            rows = provider.rows["a"]
            if what == "insert":
                at = min(where, len(rows))
                day = rows[at - 1]["trade_date"][:10] if at else YESTERDAY.isoformat()
                rows.insert(at, row(f"new-{number}", date.fromisoformat(day)))
            elif what == "delete" and len(rows) > 1:
                # The oldest stays: what is older than all a provider has is kept on purpose.
                del rows[min(where, len(rows) - 2)]
            elif what == "reimport":
                provider.rows["a"] = [one | {"id": f"{number}-{one['id']}"} for one in rows]
            elif what == "run":
                reader.version += 1
            await reader.page(account(through=YESTERDAY), save=what != "crash")
        for day in (1, 10, 20):
            reader.now = TODAY + DAY * day
            await reader.run(account(through=YESTERDAY + DAY * day))
        left = {one["id"] for one in provider.rows["a"]}
        assert set(reader.ledger().names) == left or not left

    asyncio.run(play())
