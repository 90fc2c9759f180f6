"""Limits: the arithmetic, the database's grants, and that replicas together never exceed a limit."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

from connector_kit import pacing
from connector_kit.limit_store import MemoryLimits, PostgresLimits, Want
from connector_kit.limits import Gate
from connector_kit.pacing import MICROSECONDS, LimitKey
from connector_kit.priority import Priority, working
from contracts.errors import ErrorCode, TransientError
from persistence.database import Database, DatabaseUnavailable
from service_kit.clock import FakeClock

LIMIT = LimitKey("customer", 20)
START = datetime(2026, 11, 21, tzinfo=UTC)


def most_in_a_window(moments: list[float], per: float) -> int:
    """The most calls in any closed window, by looking at every window that begins with a call."""
    return max((sum(1 for t in moments if begin <= t <= begin + per) for begin in moments), default=0)


async def calls_of(limit: LimitKey, gaps: list[float], priority: Priority) -> list[float]:
    """When an eager caller, who asks after each gap, is let through."""
    clock, passed = FakeClock(), []
    store = MemoryLimits(clock)
    for gap in gaps:
        clock.advance(gap)
        while (await store.take([Want((limit,), priority)]))[0] == 0:
            passed.append(clock.monotonic())
    return passed


@settings(deadline=None)
@given(
    limit=st.integers(1, 40),
    per=st.sampled_from([1.0, 60.0, 3600.0]),
    gaps=st.lists(st.floats(0, 0.6), max_size=60),
    priority=st.sampled_from(list(Priority)),
)
def test_no_window_ever_holds_more_than_the_limit(limit, per, gaps, priority):
    key = LimitKey("k", limit, per)
    passed = asyncio.run(calls_of(key, [gap * per for gap in gaps], priority))
    assert most_in_a_window(passed, per) <= limit


async def eager_calls(limit: LimitKey, until: float) -> int:
    """How many calls get through of a caller who comes back exactly when told."""
    clock, passed = FakeClock(), 0
    store = MemoryLimits(clock)
    while clock.monotonic() < until:
        wait = (await store.take([Want((limit,), Priority.BACKGROUND)]))[0]
        passed += wait == 0
        clock.advance(wait)
    return passed


@settings(deadline=None, max_examples=40)
@given(limit=st.integers(1, 120))
def test_who_comes_back_when_told_gets_four_fifths_of_the_limit(limit):
    assert asyncio.run(eager_calls(LimitKey("k", limit), 600)) >= 8 * limit


@given(now=st.integers(0, 10**12), ahead=st.integers(0, 10**12), limit=st.integers(1, 300))
def test_a_clock_set_back_closes_a_key_for_one_interval_at_most(now, ahead, limit):
    key = LimitKey("k", limit)
    at = pacing.pace(key, Priority.INTERACTIVE)
    assert pacing.wait(pacing.sane(now + ahead, now, key), now, at) <= at.interval


def test_a_limit_that_allows_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        LimitKey("k", 0)


class Simulated(PostgresLimits):
    """The database's limits by a clock of the test's."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "fake")
        self.database, self.at = database, START
        self.moments: list[float] = []

    async def take(self, wants):
        asked = Jsonb([[self._key(key, want.priority) for key in want.keys] for want in wants])
        async with self.database.transaction(rows=scalar_row) as conn:
            row = await conn.execute("SELECT sync.take_permits(%s, %s)", (asked, self.at))
            waits = [wait.total_seconds() for wait in await row.fetchone()]
        self.moments += [(self.at - START).total_seconds() for wait in waits if wait == 0]
        return waits


async def test_the_database_grants_exactly_what_the_arithmetic_does(database):
    clock, there = FakeClock(START), Simulated(database)
    here = MemoryLimits(clock)
    item, other = LimitKey("item", 3), LimitKey("other", 7, 30.0)
    clock.advance(1e6)
    there.at += timedelta(seconds=1e6)
    sets = [(LIMIT,), (LIMIT, item), (LIMIT, other), (item, other)]
    for step in range(60):
        wants = [Want(sets[(step + n) % 4], Priority((step // 3 + n) % 2)) for n in range(step % 5)]
        assert await there.take(wants) == await here.take(wants)
        gap = [0.0, 0.137, 2.5, 11.000001][step % 4]
        clock.advance(gap)
        there.at += timedelta(seconds=gap)


async def test_two_replicas_together_stay_below_the_limit(database):
    """Both ask for batches at every moment of ten minutes; the limit is of both together."""
    one, two = Simulated(database), Simulated(database)
    for step in range(120):
        one.at = two.at = START + timedelta(seconds=5 * step)
        wants = [Want((LIMIT,), Priority(step % 2))] * 8
        await asyncio.gather(one.take(wants), two.take(wants))
    moments = sorted(one.moments + two.moments)
    assert most_in_a_window(moments, 60) <= LIMIT.limit
    assert one.moments
    assert two.moments
    assert len(moments) >= 0.7 * LIMIT.limit * 10


async def test_two_gates_with_one_database_pass_no_more_than_one_would(database):
    """By the real clock, with many callers at once, in half of a minute's limit."""
    key = LimitKey("burst", 40, 3600.0)
    gates = [Gate("fake", store=PostgresLimits(database, "fake")) for _ in range(2)]

    async def call(gate: Gate) -> bool:
        try:
            with working(Priority.INTERACTIVE):
                async with gate.passing([key]):
                    return True
        except TransientError as error:
            return error.code is not ErrorCode.RATE_LIMITED or error.wait is None

    passed = await asyncio.gather(*(call(gate) for gate in gates for _ in range(30)))
    assert sum(passed) == 6


async def test_a_pause_is_shared_by_all_replicas(database):
    one, two = (Gate("fake", store=PostgresLimits(database, "fake")) for _ in range(2))
    await one.learn(429, {"Retry-After": "300"}, [LIMIT])
    with pytest.raises(TransientError) as refused:
        async with two.passing([LIMIT]):
            pass
    assert 290 < refused.value.wait <= 300
    async with two.passing([LimitKey("another", 5)]):
        pass


async def test_the_limit_an_answer_speaks_of_is_the_one_that_is_closed():
    gate = Gate("fake", clock=FakeClock())
    account, customer = LimitKey("account", 10), LimitKey("customer", 250)
    await gate.learn(429, {"Retry-After": "300", "X-RateLimit-Limit": "10"}, [customer, account])
    async with gate.passing([customer]):
        pass
    with pytest.raises(TransientError):
        async with gate.passing([customer, account]):
            pass


async def test_providers_do_not_share_each_others_limits(database):
    one, two = PostgresLimits(database, "fake"), PostgresLimits(database, "other")
    await one.block([LIMIT], 100)
    assert (await one.take([Want((LIMIT,), Priority.BACKGROUND)]))[0] > 90
    assert await two.take([Want((LIMIT,), Priority.BACKGROUND)]) == [0]


class Away:
    """A store whose database is away."""

    async def take(self, _wants):
        raise DatabaseUnavailable("away")

    async def block(self, _keys, _seconds):
        raise DatabaseUnavailable("away")


async def test_while_the_database_is_away_calls_fail_as_something_that_passes():
    gate = Gate("fake", store=Away())
    with pytest.raises(TransientError) as refused:
        async with gate.passing([LIMIT]):
            pass
    assert refused.value.code is ErrorCode.UNAVAILABLE
    async with gate.passing():
        pass
    await gate.block([LIMIT], 0.01)
    assert gate.pause > 0


async def in_order(gate: Gate, *callers: tuple[str, Priority]) -> list[str]:
    """The order in which callers pass who come while another one holds the only place."""
    passed: list[str] = []

    async def call(name: str, priority: Priority) -> None:
        with working(priority):
            async with gate.passing():
                passed.append(name)
                await asyncio.sleep(0)

    async with gate.passing():
        tasks = [asyncio.create_task(call(*caller)) for caller in callers]
        await asyncio.sleep(0.01)
        assert passed == []
    await asyncio.gather(*tasks)
    return passed


async def test_what_a_person_waits_for_overtakes_the_rest():
    low, high = Priority.BACKGROUND, Priority.INTERACTIVE
    gate = Gate("fake", side_by_side=1)
    came = [("b1", low), ("b2", low), ("i1", high), ("b3", low), ("i2", high)]
    assert await in_order(gate, *came) == ["i1", "i2", "b1", "b2", "b3"]


async def test_the_burst_has_a_part_that_nobody_but_people_use():
    store, key = MemoryLimits(FakeClock()), LimitKey("k", 100)
    background = await store.take([Want((key,), Priority.BACKGROUND)] * 30)
    interactive = await store.take([Want((key,), Priority.INTERACTIVE)] * 30)
    assert background.count(0) == 7
    assert interactive.count(0) == 8


async def test_one_full_account_does_not_stop_the_others():
    clock = FakeClock()
    gate = Gate("fake", side_by_side=1, clock=clock)
    full, free, customer = LimitKey("a", 1), LimitKey("b", 1), LimitKey("customer", 250)
    async with gate.passing([customer, full]):
        pass
    clock.advance(40.0)
    waiting = asyncio.create_task(anext(aiter(_passing(gate, [customer, full]))))
    await asyncio.sleep(0)
    async with gate.passing([customer, free]):
        assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})
    async with gate.passing([customer]):
        pass


async def _passing(gate, keys):
    async with gate.passing(keys):
        yield


async def test_a_caller_who_gives_up_leaves_the_place_to_the_next():
    gate = Gate("fake", side_by_side=1)
    async with gate.passing():
        first = asyncio.create_task(anext(aiter(_passing(gate, []))))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait({first})
    async with gate.passing([LIMIT]):
        pass
    taken = asyncio.create_task(anext(aiter(_passing(gate, []))))
    taken.cancel()
    await asyncio.wait({taken})
    async with asyncio.timeout(5), gate.passing():
        pass


def test_microseconds_are_exact():
    assert pacing.pace(LimitKey("k", 250), Priority.INTERACTIVE).interval == 60 * MICROSECONDS // 200
