"""Late snapshots, judgements and what is kept of snapshots, on a real PostgreSQL."""

import random
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.sweep import Sweep
from consolidator.testing import NOW, Link, cash, dump, fold, received, stock
from contracts.decisions import SnapshotJudged, SnapshotVerdict
from contracts.ids import snapshot_id
from contracts.messages import Message
from messaging.policy import DONE, Park
from persistence.database import Database
from service_kit.metrics import Metrics

SCHWAB = Link("snaptrade", "charles-schwab")
TYPED = Link("manual", "manual")
MANY = [stock(f"S{number}", 10, 5) for number in range(20)]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def judged(version: int, verdict: SnapshotVerdict, number: int = 1, link: Link = SCHWAB) -> SnapshotJudged:
    return SnapshotJudged(
        user_id=link.user,
        judgement_id=f"00000000-0000-4000-8000-{number:012d}",
        account_id=link.account_id("a"),
        version=version,
        verdict=verdict,
        judged_by="user",
        judged_at=NOW + number * MINUTE,
    )


async def apply(applier: Applier, *messages: Message) -> list[object]:
    return await applier([received(message) for message in messages])


async def states(database: Database) -> list[tuple[int, str, int]]:
    async with database.transaction() as conn:
        query = (
            "SELECT version, state, json_array_length(content) FROM portfolio.v_snapshots ORDER BY version"
        )
        return await (await conn.execute(query)).fetchall()


SIZES = st.sampled_from([0, 0, 1, 2, 3, 15, 20])
HISTORIES = st.lists(st.tuples(SIZES, st.integers(0, 90), st.booleans()), min_size=2, max_size=7)


def story(steps: list[tuple[int, int, bool]]) -> list[Message]:
    """Snapshots under rising versions: so many things, so many minutes later, with or without cash."""
    at, messages = NOW, []
    for version, (size, minutes, rich) in enumerate(steps, start=1):
        at += minutes * MINUTE
        held = [*MANY[:size], cash(1000 if rich else 10)]
        messages.append(SCHWAB.holds(*held, version=version, as_of=at, synced_at=at))
    return messages


class TestAnyOrder:
    @settings(max_examples=300, deadline=None)
    @given(HISTORIES, st.randoms(use_true_random=False), st.integers(1, 3))
    def test_whatever_the_order_the_snapshots_are_folded_by_version(self, steps, rng, batch) -> None:
        messages = story(steps)
        shuffled = [*messages, *rng.sample(messages, 1)]
        rng.shuffle(shuffled)
        account = SCHWAB.account_id("a")
        assert fold(shuffled, batch=batch).held[account] == fold(messages).held[account]

    @settings(max_examples=100, deadline=None)
    @given(HISTORIES, st.randoms(use_true_random=False), st.integers(1, 7), st.booleans())
    def test_a_judgement_counts_whenever_it_comes(self, steps, rng, version, accept) -> None:
        verdict = SnapshotVerdict.ACCEPT if accept else SnapshotVerdict.REJECT
        messages = [*story(steps), judged(version, verdict)]
        shuffled = list(messages)
        rng.shuffle(shuffled)
        account = SCHWAB.account_id("a")
        assert fold(shuffled).held[account] == fold(messages).held[account]

    async def test_the_tables_are_the_same_after_any_order(self, migrated_database, database, clock) -> None:
        rng = random.Random(7)
        for _ in range(12):
            steps = [
                (rng.choice([0, 0, 1, 2, 15, 20]), rng.randint(0, 90), rng.random() < 0.5) for _ in range(5)
            ]
            found = []
            for attempt in range(2):
                async with database.transaction() as conn:
                    for table in await _tables(database):
                        await conn.execute(f"DELETE FROM portfolio.{table}")
                applier = Applier(database, DEFAULT_RULES, clock, Measures(Metrics("t")))
                messages = story(steps)
                if attempt:
                    rng.shuffle(messages)
                for message in messages:
                    assert await apply(applier, message) == [DONE]
                left = await dump(database)
                left.pop("instruments")
                found.append(left)
            assert found[0] == found[1], steps


async def _tables(database: Database) -> list[str]:
    async with database.transaction() as conn:
        query = """SELECT tablename FROM pg_tables WHERE schemaname = 'portfolio'
            AND tablename NOT LIKE 'alembic%%' AND tablename <> 'instruments'"""
        return [row[0] for row in await (await conn.execute(query)).fetchall()]


class TestLate:
    async def test_a_late_snapshot_is_judged_in_its_place(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(*MANY, version=1))
        await apply(applier, SCHWAB.holds(*MANY[:5], version=5))
        assert await states(database) == [(1, "superseded", 20), (5, "current", 5)]
        full = [*MANY, *[stock(f"T{number}", 1) for number in range(40)]]
        await apply(applier, SCHWAB.holds(*full, version=3))
        assert await states(database) == [(1, "superseded", 20), (3, "current", 60), (5, "quarantined", 5)]

    async def test_two_snapshots_of_one_version_that_differ_are_parked(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(*MANY, version=1))
        [outcome] = await apply(applier, SCHWAB.holds(MANY[0], version=1))
        assert isinstance(outcome, Park)
        assert await states(database) == [(1, "current", 20)]

    async def test_a_second_delivery_of_what_was_superseded_changes_nothing(self, applier, database) -> None:
        for number in (20, 15, 10):
            await apply(applier, SCHWAB.holds(*MANY[:number], version=30 - number))
        before = await dump(database)
        await apply(applier, SCHWAB.holds(*MANY[:20], version=10), SCHWAB.holds(*MANY[:15], version=15))
        assert await dump(database) == before

    async def test_what_a_person_typed_is_never_quarantined(self, applier, database) -> None:
        await apply(applier, TYPED.holds(*MANY))
        await apply(applier, TYPED.holds(version=2))
        assert await states(database) == [(1, "superseded", 20), (2, "current", 0)]


class TestJudgements:
    @pytest.mark.parametrize(
        ("verdict", "expected"),
        [
            (SnapshotVerdict.ACCEPT, [(1, "superseded", 20), (2, "current", 0)]),
            (SnapshotVerdict.REJECT, [(1, "current", 20), (2, "rejected", 0)]),
        ],
    )
    async def test_an_operator_decides_on_a_quarantined_snapshot(
        self, applier, database, verdict, expected
    ) -> None:
        messages = [SCHWAB.holds(*MANY), SCHWAB.holds(version=2), judged(2, verdict)]
        for message in messages:
            assert await apply(applier, message) == [DONE]
        assert await states(database) == expected
        assert await apply(applier, *reversed(messages)) == [DONE] * 3
        assert await states(database) == expected

    async def test_a_rejected_snapshot_does_not_confirm_a_later_one(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(*MANY), SCHWAB.holds(version=2, synced_at=NOW))
        await apply(applier, judged(2, SnapshotVerdict.REJECT))
        await apply(applier, SCHWAB.holds(cash(1), version=3, synced_at=NOW + 2 * HOUR))
        assert [state for _, state, _ in await states(database)] == ["current", "rejected", "quarantined"]

    async def test_the_newest_of_two_judgements_holds_in_any_order(self, applier) -> None:
        messages = [
            SCHWAB.holds(*MANY),
            SCHWAB.holds(version=2),
            judged(2, SnapshotVerdict.REJECT, 1),
            judged(2, SnapshotVerdict.ACCEPT, 2),
        ]
        for order in permutations(messages):
            current = fold(list(order)).held[SCHWAB.account_id("a")].current
            assert current is not None
            assert current.version == 2

    async def test_a_judgement_of_an_account_nobody_saw_is_kept_and_harmless(self, applier, database) -> None:
        assert await apply(applier, judged(9, SnapshotVerdict.ACCEPT)) == [DONE]
        assert await states(database) == []


class TestKept:
    async def test_every_snapshot_id_resolves_to_what_was_held(self, applier, database) -> None:
        sent = [SCHWAB.holds(*MANY[:number], version=number) for number in (20, 15, 12)]
        for message in reversed(sent):
            await apply(applier, message)
        async with database.transaction() as conn:
            query = (
                "SELECT snapshot_id::text, content_hash, content FROM portfolio.v_snapshots ORDER BY version"
            )
            found = await (await conn.execute(query)).fetchall()
        expected = [
            snapshot_id(one.account_id, one.clocks.version, one.content_hash) for one in reversed(sent)
        ]
        assert [row[0] for row in found] == expected
        assert [row[1] for row in found] == [one.content_hash for one in reversed(sent)]
        assert [{line["instrument_key"]: line["quantity"] for line in row[2]} for row in found] == [
            {one.instrument.key: "10" for one in message.holdings} for message in reversed(sent)
        ]

    async def test_old_snapshots_are_let_go_but_never_what_counts_or_is_judged_by(
        self, applier, database, clock
    ) -> None:
        sweep = Sweep(database, applier, clock, max_age=timedelta(days=3), retention=timedelta(hours=6))
        for version, at in ((1, -9), (2, -8), (3, -7), (4, -1)):
            clocks = {"as_of": NOW + at * HOUR, "synced_at": NOW + at * HOUR}
            await apply(applier, SCHWAB.holds(*MANY[: 20 - version], version=version, **clocks))
        assert await sweep.let_go() == 2
        assert [version for version, _, _ in await states(database)] == [3, 4]
        assert await sweep.let_go() == 0
        too_late = SCHWAB.holds(*MANY, *[stock(f"T{number}", 1) for number in range(400)], version=2)
        await apply(applier, too_late)
        assert [state for _, state, _ in await states(database)] == ["superseded", "current"]

    async def test_nothing_is_let_go_while_a_quarantine_lasts(self, applier, database, clock) -> None:
        sweep = Sweep(database, applier, clock, max_age=timedelta(days=3), retention=timedelta(hours=6))
        old = {"as_of": NOW - 9 * HOUR, "synced_at": NOW - 9 * HOUR}
        await apply(applier, SCHWAB.holds(*MANY, **old))
        await apply(applier, SCHWAB.holds(version=2, **old))
        assert await sweep.let_go() == 0
