"""Random portfolios: the consolidator against the slow reference, byte by byte, and never anything counted twice."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest
from checks import counted_twice, not_owned
from generate import NOW, Portfolio, batches, portfolio, requested, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import reference
from stored import Rows, differences, of_book, of_database

from consolidator.apply import Applier
from consolidator.book import Book
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.sweep import Sweep
from consolidator.testing import Link, dump, fold, received, stock
from contracts.decisions import SnapshotJudged, SnapshotVerdict
from contracts.messages import Message
from messaging.policy import DONE
from persistence.database import Database
from persistence.testing import MigratedDatabase, Template
from service_kit.clock import FakeClock
from service_kit.metrics import Metrics

SEEDS = range(40)
MANY = range(1000, 1070)


def folded(portfolio: Portfolio, rng: random.Random) -> Book:
    """The book after all messages in random order, cut anywhere; judged against the reference at every cut."""
    book, told = Book(portfolio.user), []
    for batch in batches(rng, stream(rng, portfolio.messages)):
        told += batch
        book = fold(batch, now=NOW, batch=len(batch), book=book)
        answer, rows = reference(told, NOW), of_book(book)
        assert differences(answer, rows) == [], f"seed {portfolio.seed} after {len(told)} messages"
        assert counted_twice(rows.positions, answer.sure) == [], f"seed {portfolio.seed}"
    return book


@pytest.mark.parametrize("seed", MANY)
def test_every_state_on_the_way_is_the_reference(seed: int) -> None:
    folded(portfolio(seed), random.Random(seed))


@given(seed=st.integers(0, 2**32), order=st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_any_portfolio_in_any_order_is_the_reference(seed: int, order: random.Random) -> None:
    folded(portfolio(seed), order)


@pytest.mark.parametrize("seed", MANY)
def test_what_is_surely_known_is_what_is_owned(seed: int) -> None:
    one = portfolio(seed)
    assert not one.settled or not_owned(one, reference(one.messages, NOW)) == []


def test_the_generator_reaches_the_corners() -> None:
    answers = [reference(portfolio(seed).messages, NOW) for seed in MANY]
    text = "".join(row for one in answers for row in (*one.real_accounts, *one.accounts, *one.positions))
    for corner in (
        "held_back:",
        "failover:",
        "freshest_of_equals",
        "freshest_of_unhealthy:",
        "no_snapshot",
        "unhealthy:connection_stale_cache",
        "unhealthy:quarantined",
        "recovering",
        "too_old",
        "page 2 failed",
        ":needs_decision",
        '"needs_decision": true',
    ):
        assert corner in text, f"no portfolio shows {corner}"
    assert any(one.sure for one in answers)


# On PostgreSQL.


class Consolidator:
    """Appliers on one database whose clock is the test's; every batch may meet another process."""

    def __init__(self, database: Database, rng: random.Random) -> None:
        self.database, self._rng = database, rng
        self.clock = FakeClock(NOW - timedelta(days=10))
        self._processes = [
            Applier(database, DEFAULT_RULES, self.clock, Measures(Metrics("numbers"))) for _ in range(2)
        ]

    @property
    def process(self) -> Applier:
        return self._rng.choice(self._processes)

    async def told(self, messages: Sequence[Message], until: timedelta = timedelta(0)) -> None:
        """Apply messages in batches while the clock goes on, until that long before ``NOW``."""
        cuts = list(batches(self._rng, messages))
        step = (NOW - until - self.clock.now()) / len(cuts)
        for batch in cuts:
            outcomes = await self.process([received(one) for one in batch])
            assert set(outcomes) == {DONE}
            self.clock.advance(step)

    async def sweeps(self) -> None:
        """Look again at whatever time alone changed."""
        rules = DEFAULT_RULES.sources
        retention = timedelta(hours=6)
        sweep = Sweep(self.database, self.process, self.clock, max_age=rules.max_age, retention=retention)
        while await sweep.once():
            pass
        await sweep.let_go()

    async def rows(self, users: Sequence[str]) -> dict[str, Rows]:
        return await of_database(self.database, users)


def mixed(rng: random.Random, portfolios: Sequence[Portfolio]) -> list[Message]:
    """Everybody's messages as one stream."""
    return stream(rng, [message for one in portfolios for message in one.messages])


def assert_equal(portfolios: Sequence[Portfolio], stored: dict[str, Rows], now: datetime = NOW) -> None:
    found = [
        f"seed {one.seed}: {line}"
        for one in portfolios
        for line in differences(reference(one.messages, now), stored[one.user])
    ]
    assert not found, "\n".join(found[:20])


async def test_what_is_stored_is_the_reference_for_any_order_and_batching(database: Database) -> None:
    rng = random.Random(1)
    portfolios = [portfolio(seed) for seed in SEEDS]
    consolidator = Consolidator(database, rng)
    await consolidator.told(mixed(rng, portfolios), until=timedelta(minutes=1))
    consolidator.clock.advance(NOW - consolidator.clock.now())
    users = [one.user for one in portfolios]
    await consolidator.process.touch(users)
    assert_equal(portfolios, await consolidator.rows(users))


async def test_a_request_to_consolidate_brings_everything_up_to_date(database: Database) -> None:
    rng = random.Random(2)
    portfolios = [portfolio(seed) for seed in SEEDS[:12]]
    consolidator = Consolidator(database, rng)
    await consolidator.told(mixed(rng, portfolios), until=timedelta(hours=100))
    consolidator.clock.advance(NOW - consolidator.clock.now())
    wishes = [requested(one.user, f"{one.seed:08d}-0000-4000-8000-000000000000", NOW) for one in portfolios]
    await consolidator.process([received(wish) for wish in wishes])
    stored = await consolidator.rows([one.user for one in portfolios])
    assert_equal(portfolios, stored)


async def swept(database: Database, later: timedelta) -> tuple[list[Portfolio], dict[str, Rows]]:
    """Portfolios that nobody sends a message about any more, looked at by the sweep alone."""
    rng = random.Random(3)
    portfolios = [portfolio(seed) for seed in SEEDS[:14]]
    consolidator = Consolidator(database, rng)
    await consolidator.told(mixed(rng, portfolios))
    consolidator.clock.advance(NOW + later - consolidator.clock.now())
    await consolidator.sweeps()
    return portfolios, await consolidator.rows([one.user for one in portfolios])


LATER = [timedelta(minutes=31), timedelta(hours=73)]


@pytest.mark.parametrize("later", LATER)
async def test_the_sweep_alone_brings_what_time_brings(database: Database, later: timedelta) -> None:
    portfolios, stored = await swept(database, later)
    assert_equal(portfolios, stored, NOW + later)


async def test_late_messages_find_their_place_while_old_snapshots_are_let_go(database: Database) -> None:
    rng = random.Random(4)
    # What people say of a snapshot that was let go comes too late.
    portfolios = [one for one in map(portfolio, range(60)) if not judged(one)][:12]
    delayed = sorted(
        (
            (told_at(message) + rng.choice(DELAYS), n, message)
            for one in portfolios
            for n, message in enumerate(one.messages)
        ),
        key=itemgetter(0, 1),
    )
    consolidator = Consolidator(database, rng)
    for hour, told in groupby(delayed, key=lambda item: item[0].replace(minute=0, second=0)):
        messages = [message for _, _, message in told]
        consolidator.clock.jump(hour - consolidator.clock.now())
        assert set(await consolidator.process([received(one) for one in messages])) == {DONE}
        await consolidator.sweeps()
    consolidator.clock.jump(NOW - consolidator.clock.now())
    users = [one.user for one in portfolios]
    await consolidator.process.touch(users)
    assert_equal(portfolios, await consolidator.rows(users))


DELAYS = [timedelta(hours=hours) for hours in (0, 0, 0.1, 1, 3)]


def judged(portfolio: Portfolio) -> bool:
    return any(isinstance(one, SnapshotJudged) for one in portfolio.messages)


def told_at(message: Any) -> datetime:
    """When somebody said it."""
    if clocks := getattr(message, "clocks", None):
        return clocks.synced_at
    names = ("linked_at", "changed_at", "decided_at", "defined_at", "requested_at")
    return next(getattr(message, name) for name in names if hasattr(message, name))


async def test_a_rejected_first_snapshot_does_not_stop_the_next(database: Database) -> None:
    consolidator = Consolidator(database, random.Random(1))
    link = Link("plaid", "chase", user="person")
    rejected = SnapshotJudged(
        user_id="person",
        judgement_id="00000001-0000-4000-8000-000000000000",
        account_id=link.account_id("a"),
        version=1,
        verdict=SnapshotVerdict.REJECT,
        judged_by="person",
        judged_at=NOW,
    )
    told = [link.holds(stock("A", 1), stock("B", 1)), rejected, link.holds(stock("A", 2), version=2)]
    for message in told:
        assert await consolidator.process([received(message)]) == [DONE]
    stored = await consolidator.rows(["person"])
    assert differences(reference(told, consolidator.clock.now()), stored["person"]) == []


async def test_every_stored_row_is_the_same_whatever_the_order(
    database: Database, migrated_database: MigratedDatabase, database_template: Template
) -> None:
    portfolios = [portfolio(seed) for seed in SEEDS[:8]]
    states = []
    for attempt in range(3):
        copy = database_template.copy()
        other = Database(copy.admin_url)
        await other.open()
        try:
            rng = random.Random(attempt)
            consolidator = Consolidator(other, rng)
            messages = [message for one in portfolios for message in one.messages]
            await consolidator.told(mixed(rng, portfolios) if attempt else messages)
            await consolidator.process.touch([one.user for one in portfolios])
            states.append(await dump(other))
        finally:
            await other.close()
            database_template.drop(copy)
    for state in states[1:]:
        assert {table for table, rows in state.items() if rows != states[0][table]} == set()
