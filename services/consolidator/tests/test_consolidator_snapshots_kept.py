"""Whatever comes, and whenever old snapshots are let go: what is kept resolves, and the fold is that of all."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.sweep import Sweep
from consolidator.testing import NOW, Link, cash, fold, received, stock
from contracts.decisions import SnapshotJudged, SnapshotVerdict
from contracts.holdings import HoldingsSnapshot
from contracts.messages import Message
from messaging.policy import DONE
from persistence.database import Database
from service_kit.clock import FakeClock
from service_kit.metrics import Metrics

SCHWAB = Link("snaptrade", "charles-schwab")
ACCOUNT = SCHWAB.account_id("a")
RETENTION = timedelta(hours=6)
MINUTE = timedelta(minutes=1)
CONTENTS = [
    [],
    [cash(5)],
    [stock("S0", 10, 5)],
    [stock(f"S{number}", 10, 5) for number in range(15)],
    [stock(f"S{number}", 10, 5) for number in range(20)],
    [stock(f"S{number}", 11, 5) for number in range(20)],
]


def judged(version: int, verdict: SnapshotVerdict, number: int, at: datetime) -> SnapshotJudged:
    return SnapshotJudged(
        user_id="user-1",
        judgement_id=f"00000000-0000-4000-8000-{number:012d}",
        account_id=ACCOUNT,
        version=version,
        verdict=verdict,
        judged_by="user",
        judged_at=at,
    )


class World:
    """One account over some days: what was said of it, and what of that was delivered."""

    def __init__(self, database: Database, clock: FakeClock, seed: int) -> None:
        self.rng = random.Random(seed)
        self.database, self.clock = database, clock
        self.version = 0
        self.delivered: list[Message] = []
        self.pending: list[HoldingsSnapshot] = []
        self.judgements = 0
        self.restart()

    def restart(self) -> None:
        self.applier = Applier(self.database, DEFAULT_RULES, self.clock, Measures(Metrics("t")))
        self.sweep = Sweep(
            self.database, self.applier, self.clock, max_age=timedelta(days=3), retention=RETENTION
        )

    async def step(self) -> None:
        rng, now = self.rng, self.clock.now()
        batch: list[Message] = []
        for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3])):
            self.version += 1
            one = SCHWAB.holds(*rng.choice(CONTENTS), version=self.version, as_of=now, synced_at=now)
            self.pending.append(one) if rng.random() < 0.25 else batch.append(one)
            self.clock.advance(1)
            now = self.clock.now()
        for late in list(self.pending):
            if now - late.clocks.synced_at > RETENTION - 2 * MINUTE:
                self.pending.remove(late)
            elif rng.random() < 0.3:
                self.pending.remove(late)
                batch.append(late)
        if self.delivered and rng.random() < 0.3:
            batch.append(rng.choice(self.delivered[-12:]))
        if rng.random() < 0.4:
            batch += self._judgement(now)
        rng.shuffle(batch)
        await self.apply(batch)
        if rng.random() < 0.3:
            self.restart()
        self.clock.advance(rng.choice([60, 600, 3000, 9000, 16_000]))
        if rng.random() < 0.5:
            await self.sweep.let_go()

    def _judgement(self, now: datetime) -> list[Message]:
        """Of what is quarantined, or of anything else that was seen lately."""
        aside = self.expected().holding(ACCOUNT).quarantine
        lately = [
            one.clocks.version
            for one in self.delivered
            if isinstance(one, HoldingsSnapshot) and now - one.clocks.synced_at < RETENTION / 2
        ]
        if aside is not None and self.rng.random() < 0.7:
            lately = [aside.sight.version]
        if not lately:
            return []
        self.judgements += 1
        verdict = self.rng.choice(list(SnapshotVerdict))
        return [judged(self.rng.choice(lately), verdict, self.judgements, now)]

    async def apply(self, batch: list[Message]) -> None:
        if batch:
            assert await self.applier([received(one) for one in batch]) == [DONE] * len(batch)
        self.delivered += batch

    def expected(self) -> Any:
        return fold(_by_version(self.delivered), batch=1000)

    async def check(self) -> None:
        sent = {one.clocks.version: one for one in self.delivered if isinstance(one, HoldingsSnapshot)}
        kept = await _rows(self.database, "SELECT version, state, content FROM portfolio.v_snapshots")
        for version, _, content in kept:
            held = {one.instrument.key: str(one.quantity) for one in sent[version].holdings}
            assert {one["instrument_key"]: one["quantity"] for one in content} == held, version
        wanted = self.expected().holding(ACCOUNT)
        found = {state: version for version, state, _ in kept if state in {"current", "quarantined"}}
        assert found.get("current") == (wanted.current.version if wanted.current else None)
        assert found.get("quarantined") == (wanted.quarantine.sight.version if wanted.quarantine else None)


def _by_version(messages: list[Message]) -> list[Message]:
    return sorted(messages, key=lambda one: one.clocks.version if isinstance(one, HoldingsSnapshot) else 0)


async def _rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.transaction() as conn:
        return await (await conn.execute(query)).fetchall()


async def _kept(database: Database) -> list[tuple[int, str, int]]:
    query = "SELECT version, state, json_array_length(content) FROM portfolio.v_snapshots ORDER BY version"
    return await _rows(database, query)


async def test_the_snapshot_that_counts_is_kept_when_the_newest_was_rejected(database, clock) -> None:
    world = World(database, clock, 0)
    await world.apply([SCHWAB.holds(*CONTENTS[4], version=1), SCHWAB.holds(version=2)])
    await world.apply([judged(2, SnapshotVerdict.REJECT, 1, NOW)])
    clock.advance(RETENTION + MINUTE)
    assert await world.sweep.let_go() == 0
    assert await _kept(database) == [(1, "current", 20), (2, "rejected", 0)]


async def test_folding_begins_with_a_snapshot_that_was_counted(database, clock) -> None:
    """Begun with the first of a quarantine, the second would look like another erasure."""
    world = World(database, clock, 0)
    for version, (content, minutes) in enumerate([(4, 0), (2, 1), (0, 120)], start=1):
        at = NOW + minutes * MINUTE
        await world.apply([SCHWAB.holds(*CONTENTS[content], version=version, as_of=at, synced_at=at)])
    clock.advance(RETENTION + 2 * MINUTE)
    assert await world.sweep.let_go() == 0
    await world.apply([judged(2, SnapshotVerdict.REJECT, 1, NOW)])
    await world.apply([judged(2, SnapshotVerdict.ACCEPT, 2, NOW + MINUTE)])
    await world.check()


async def test_the_content_of_a_rejected_snapshot_outlives_older_ones_of_the_same(database, clock) -> None:
    world = World(database, clock, 0)
    same, other = CONTENTS[4], CONTENTS[3]
    await world.apply([SCHWAB.holds(*same, version=1), SCHWAB.holds(*same, version=5)])
    await world.apply([judged(5, SnapshotVerdict.REJECT, 1, NOW)])
    await world.apply([judged(6, SnapshotVerdict.REJECT, 2, NOW)])
    await world.apply([SCHWAB.holds(*same, version=6)])
    await world.apply([SCHWAB.holds(*other, version=3)])
    clock.advance(RETENTION + MINUTE)
    assert await world.sweep.let_go() == 1
    assert await _kept(database) == [(3, "current", 15), (5, "rejected", 20), (6, "rejected", 20)]
    await world.apply([SCHWAB.holds(*same, version=4)])
    await world.check()


async def test_more_accounts_than_one_transaction_takes_are_not_left(database, clock, monkeypatch) -> None:
    monkeypatch.setattr("consolidator.sweep.SNAPSHOTS", 1)
    world = World(database, clock, 0)
    for account in ("a", "b", "c"):
        await world.apply([SCHWAB.holds(version=version, account=account) for version in (1, 2)])
    clock.advance(RETENTION + MINUTE)
    rounds = 0

    async def looked_at() -> int:
        nonlocal rounds
        rounds += 1
        return 0

    monkeypatch.setattr(world.sweep, "once", looked_at)
    sweeping = asyncio.create_task(world.sweep.run())
    await asyncio.wait([sweeping], timeout=1)
    sweeping.cancel()
    assert [version for version, _, _ in await _kept(database)] == [2, 2, 2]
    assert rounds == 4


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_kept_resolves_and_the_fold_is_that_of_all_that_came(database, clock, seed) -> None:
    world = World(database, clock, seed)
    assert clock.now() == NOW
    for _ in range(40):
        await world.step()
        await world.check()
