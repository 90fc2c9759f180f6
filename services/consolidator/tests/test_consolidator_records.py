"""Orders, sync runs and series of totals, on a real PostgreSQL."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from consolidator.apply import Applier
from consolidator.domain.orders import standing
from consolidator.sweep import RUN_AGE, Sweep
from consolidator.testing import NOW, Link, cash, dump, order, received, stock
from contracts.decisions import ConsolidationRequested, PortfolioDefined
from contracts.ids import portfolio_id
from contracts.messages import Message
from contracts.orders import OrderStatus
from contracts.statuses import ConnectionStatus, SyncStatus
from messaging.policy import DONE
from persistence.database import Database

SCHWAB = Link("snaptrade", "charles-schwab")
FIDELITY = Link("plaid", "fidelity")
HOUR = timedelta(hours=1)
FILLED, ACCEPTED, CANCELED = OrderStatus.FILLED, OrderStatus.ACCEPTED, OrderStatus.CANCELED


async def apply(applier: Applier, *messages: Message) -> None:
    assert await applier([received(message) for message in messages]) == [DONE] * len(messages)


async def rows(database: Database, query: str, user: str | None = None) -> list[Any]:
    async with database.transaction(user) as conn:
        return await (await conn.execute(query)).fetchall()


class TestOrders:
    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ([(1, ACCEPTED), (2, FILLED)], ("filled", 2)),
            ([(1, FILLED), (2, ACCEPTED)], ("filled", 1)),
            ([(1, FILLED), (2, CANCELED)], ("canceled", 2)),
            ([(1, ACCEPTED), (2, OrderStatus.PARTIALLY_FILLED)], ("partially_filled", 2)),
            ([(1, OrderStatus.OTHER), (2, OrderStatus.OTHER)], ("other", 2)),
        ],
    )
    async def test_the_newest_telling_holds_but_nothing_leaves_a_final_state(
        self, applier, database, told, expected
    ) -> None:
        for attempt in (told, told[::-1]):
            async with database.transaction() as conn:
                await conn.execute("DELETE FROM portfolio.orders")
            for version, status in attempt:
                await apply(applier, SCHWAB.ordered(order("o", status), version=version))
            assert await rows(database, "SELECT status, version FROM portfolio.orders") == [expected]

    def test_of_one_version_the_later_update_holds(self) -> None:
        early = standing(order("o", ACCEPTED, updated_at=NOW), 1)
        late = standing(order("o", ACCEPTED, updated_at=NOW + HOUR, filled_quantity=Decimal(1)), 1)
        assert late > early > standing(order("o", ACCEPTED), 1)

    async def test_any_order_duplication_and_batching_of_snapshots_leaves_the_same(
        self, applier, database
    ) -> None:
        rng, states = random.Random(3), list(OrderStatus)
        for _ in range(10):
            said = [
                SCHWAB.ordered(
                    *(
                        order(
                            f"o{rng.randint(0, 3)}",
                            rng.choice(states),
                            filled_quantity=Decimal(rng.randint(0, 9)),
                        )
                        for _ in range(3)
                    ),
                    version=rng.randint(1, 4),
                )
                for _ in range(5)
            ]
            found = []
            for messages in (said, rng.sample(said, 5), rng.sample(said * 2, 10)):
                async with database.transaction() as conn:
                    await conn.execute("DELETE FROM portfolio.orders")
                split = rng.randint(0, len(messages))
                for batch in (messages[:split], messages[split:]):
                    await apply(applier, *batch)
                found.append((await dump(database))["orders"])
            assert found[0]
            assert found[1] == found[0]
            assert found[2] == found[0]

    async def test_new_and_updated_orders_are_counted_once(self, applier, database) -> None:
        first = SCHWAB.ordered(order("o1", ACCEPTED), order("o2", FILLED), run_id="r1")
        second = SCHWAB.ordered(order("o1", FILLED), order("o2", FILLED), version=2, run_id="r2")
        await apply(applier, first, second, first)
        await apply(applier, second, first)
        query = "SELECT run_id, new_items, updated_items FROM portfolio.sync_counts ORDER BY 1"
        assert await rows(database, query) == [("r1", 2, 0), ("r2", 0, 1)]

    async def test_orders_that_are_told_no_more_stay_as_they_were(self, applier, database) -> None:
        await apply(
            applier, SCHWAB.ordered(order("o1", FILLED)), SCHWAB.ordered(order("o2", FILLED), version=2)
        )
        assert len(await rows(database, "SELECT 1 FROM portfolio.orders")) == 2


class TestRuns:
    async def test_a_run_is_complete_whichever_of_its_beginning_and_end_comes_first(
        self, applier, database
    ) -> None:
        began = SCHWAB.began("r")
        ended = SCHWAB.ended("r", transactions=7, unchanged=2, covers_through=date(2026, 1, 5))
        found = []
        for order_ in permutations([began, ended, began, ended]):
            async with database.transaction() as conn:
                await conn.execute("DELETE FROM portfolio.sync_log")
            for message in order_:
                await apply(applier, message)
            found.append((await dump(database))["sync_log"])
        assert len(found[0]) == 1
        assert all(one == found[0] for one in found)

    async def test_a_run_that_goes_on_is_shown_as_started(self, applier, reader) -> None:
        await apply(applier, SCHWAB.began("r"))
        query = "SELECT status, started_at, finished_at, accounts, new_items FROM portfolio.v_sync_log"
        assert await rows(reader, query, "user-1") == [("started", NOW, None, 0, 0)]

    async def test_the_log_shows_what_a_run_brought(self, applier, reader) -> None:
        await apply(applier, SCHWAB.ordered(order("o", FILLED), run_id="r"))
        await apply(applier, SCHWAB.ended("r", orders=1, status=SyncStatus.PARTIAL, error_code="TRANSIENT"))
        query = "SELECT status, orders, new_items, updated_items, error_code FROM portfolio.v_sync_log"
        assert await rows(reader, query, "user-1") == [("partial", 1, 1, 0, "TRANSIENT")]

    async def test_a_run_that_never_ends_fails_and_one_that_ends_late_is_believed(
        self, applier, database, clock
    ) -> None:
        sweep = Sweep(database, applier, clock, max_age=timedelta(days=3), retention=timedelta(hours=6))
        await apply(applier, SCHWAB.began("old"), SCHWAB.began("new", at=NOW + HOUR))
        assert await sweep.give_up() == 0
        clock.advance(RUN_AGE + timedelta(seconds=1))
        assert await sweep.give_up() == 1
        assert await sweep.give_up() == 0
        query = "SELECT run_id, status, error_code FROM portfolio.sync_log ORDER BY 1"
        assert await rows(database, query) == [("new", "started", None), ("old", "failed", "TIMEOUT")]
        await apply(applier, SCHWAB.began("old"))
        assert (await rows(database, query))[1] == ("old", "failed", "TIMEOUT")
        await apply(applier, SCHWAB.ended("old"))
        assert (await rows(database, query))[1] == ("old", "completed", None)


class TestSeries:
    async def test_the_newest_series_replaces_the_one_before_in_any_order(self, applier, database) -> None:
        series = [
            SCHWAB.was_worth({"2026-01-01": 10, "2026-01-02": 11}, version=1),
            SCHWAB.was_worth({"2026-01-02": 12, "2026-01-03": "13.5"}, version=2),
        ]
        query = "SELECT day, trim_scale(total) FROM portfolio.balance_history ORDER BY 1"
        for order_ in permutations(series * 2):
            async with database.transaction() as conn:
                await conn.execute("DELETE FROM portfolio.balance_history")
                await conn.execute("DELETE FROM portfolio.performance")
            for message in order_:
                await apply(applier, message)
            expected = [(date(2026, 1, 2), Decimal(12)), (date(2026, 1, 3), Decimal("13.5"))]
            assert await rows(database, query) == expected

    async def test_an_incomplete_series_replaces_nothing_and_an_empty_one_all(
        self, applier, database, reader
    ) -> None:
        await apply(applier, SCHWAB.was_worth({"2026-01-01": 10}), FIDELITY.was_worth({"2026-01-01": 10}))
        await apply(applier, SCHWAB.was_worth({}, version=2, complete=False))
        query = "SELECT account_id::text FROM portfolio.v_balance_history"
        assert len(await rows(reader, query, "user-1")) == 2
        await apply(applier, SCHWAB.was_worth({}, version=3))
        assert await rows(reader, query, "user-1") == [(FIDELITY.account_id("a"),)]

    async def test_returns_are_kept_as_the_provider_tells_them(self, applier, reader) -> None:
        await apply(applier, SCHWAB.was_worth({"2026-01-01": 10}))
        query = "SELECT currency, returns, as_of FROM portfolio.v_performance"
        expected = [("USD", [{"period": "1Y", "rate": "0.05"}], NOW + timedelta(seconds=1))]
        assert await rows(reader, query, "user-1") == expected


class TestPortfolioHistory:
    QUERY = """SELECT day, currency, trim_scale(market_value), complete FROM portfolio.v_portfolio_history
        ORDER BY 1, 2"""

    async def test_the_last_totals_of_each_day_are_kept_nothing_included(
        self, applier, reader, clock
    ) -> None:
        first, second = NOW.date(), NOW.date() + timedelta(days=1)
        await apply(applier, SCHWAB.holds(stock("A", 10, 5), cash(7, "EUR")))
        await apply(applier, SCHWAB.holds(stock("A", 12, 5), cash(8, "EUR"), version=2))
        expected = [(first, "EUR", Decimal(8), True), (first, "USD", Decimal(60), True)]
        assert await rows(reader, self.QUERY, "user-1") == expected
        clock.advance(timedelta(days=1))
        await apply(applier, SCHWAB.holds(stock("A", 12, 5), stock("B", 1, None), version=3))
        expected += [(second, "EUR", Decimal(0), True), (second, "USD", Decimal(60), False)]
        assert await rows(reader, self.QUERY, "user-1") == expected

    async def test_a_consolidation_on_demand_keeps_the_day_though_nothing_changed(
        self, applier, reader, clock
    ) -> None:
        await apply(applier, SCHWAB.holds(stock("A", 10, 5)))
        clock.advance(timedelta(days=1))
        asked = ConsolidationRequested(
            user_id="user-1",
            request_id="00000000-0000-4000-8000-000000000001",
            portfolio_ids=[],
            requested_by="user-1",
            requested_at=NOW,
        )
        await apply(applier, asked)
        days = [row[0] for row in await rows(reader, self.QUERY, "user-1")]
        assert days == [NOW.date(), NOW.date() + timedelta(days=1)]

    async def test_a_portfolio_that_is_dropped_is_worth_nothing(self, applier, reader) -> None:
        mine = portfolio_id("user-1", "mine")
        await apply(applier, SCHWAB.holds(stock("A", 10, 5)))
        for version, deleted in ((1, False), (2, True)):
            defined = PortfolioDefined(
                user_id="user-1",
                portfolio_id=mine,
                name="mine",
                deleted=deleted,
                account_ids=[SCHWAB.account_id("a")],
                version=version,
                defined_at=NOW,
            )
            await apply(applier, defined)
        query = f"""SELECT trim_scale(market_value) FROM portfolio.v_portfolio_history
            WHERE portfolio_id = '{mine}'"""
        assert await rows(reader, query, "user-1") == [(Decimal(0),)]


class TestRepairBy:
    ENDS = datetime(2026, 3, 1, tzinfo=UTC)
    QUERY = "SELECT status, status_reason, repair_by FROM portfolio.v_connections"

    async def test_when_access_will_end_is_kept_until_something_newer_says_otherwise(
        self, applier, reader
    ) -> None:
        notice = SCHWAB.is_now(ConnectionStatus.ACTIVE, 2, reason="expiring", repair_by=self.ENDS)
        await apply(applier, SCHWAB.linked())
        await apply(applier, notice)
        assert await rows(reader, self.QUERY, "user-1") == [("active", "expiring", self.ENDS)]
        await apply(applier, SCHWAB.is_now(ConnectionStatus.ACTIVE, 3))
        await apply(applier, notice)
        assert await rows(reader, self.QUERY, "user-1") == [("active", "test", None)]

    async def test_a_source_that_is_about_to_expire_is_not_held_back(self, applier, reader) -> None:
        other = Link("plaid", "charles-schwab")
        for link in (SCHWAB, other):
            account = link.account(stable_id="same")
            await apply(applier, link.linked(), link.lists(account), link.holds(stock("A", 10, 5)))
        await apply(
            applier, SCHWAB.is_now(ConnectionStatus.ACTIVE, 2, reason="expiring", repair_by=self.ENDS)
        )
        query = "SELECT counted_account_id::text FROM portfolio.v_real_accounts"
        assert await rows(reader, query, "user-1") == [(SCHWAB.account_id("a"),)]
