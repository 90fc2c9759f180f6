"""Transactions: whatever the order, the duplication and the batching of pages, the same rows with the same ids."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consolidator.apply import Applier
from consolidator.domain.ranges import needed, united
from consolidator.domain.succession import related, settled, transaction_id
from consolidator.domain.transactions import Entry, booked_day, fingerprint, joined, told
from consolidator.store.activity import load_fingerprints
from consolidator.testing import Link, dump, received, stock, trade
from contracts.messages import Message
from contracts.transactions import Sweep, TransactionsBatch, TransactionType
from messaging.policy import DONE
from persistence.database import Database

SCHWAB = Link("snaptrade", "charles-schwab")
ACCOUNT = SCHWAB.account_id("a")
Entries = dict[str, Entry]


def swept(version: int, first: int = 1, last: int = 31) -> Sweep:
    return Sweep(from_date=date(2026, 1, first), through=date(2026, 1, last), since_version=version)


def own(name: str) -> str:
    return transaction_id(ACCOUNT, name)


def page_of(draw: Any, version: int) -> TransactionsBatch:
    names = st.sampled_from(["t0", "t1", "t2", "t3", "t4"])
    told_ones = draw(st.lists(st.tuples(names, st.integers(1, 3), st.sampled_from([-5, -7])), max_size=4))
    items = [
        trade(
            name,
            amount,
            day=day,
            replaces=draw(st.none() | st.none() | names),
            pending=draw(st.booleans()),
            description=draw(st.sampled_from([None, "x"])),
        )
        for name, day, amount in told_ones
    ]
    days = sorted((draw(st.integers(1, 4)), draw(st.integers(1, 4))))
    sweep = draw(st.none() | st.just(swept(draw(st.integers(1, version)), *days)))
    removed = draw(st.lists(names, max_size=1))
    known = {"covers_from": date(2026, 1, days[0]), "covers_through": date(2026, 1, days[1])}
    covered = draw(st.sampled_from([{}, known]))
    return SCHWAB.did(*items, version=version, removed=removed, sweep=sweep, **covered)


@st.composite
def stories(draw: Any) -> list[TransactionsBatch]:
    versions = sorted(draw(st.lists(st.integers(1, 6), min_size=1, max_size=6)))
    return [page_of(draw, version) for version in versions]


class Model:
    """What the consolidator keeps of one account, in memory: each batch is judged with what belongs to it alone."""

    def __init__(self) -> None:
        self.entries: Entries = {}
        self.sweeps: set[Sweep] = set()

    def take(self, pages: list[TransactionsBatch]) -> None:
        touched: set[str] = set()
        for page in pages:
            news = [told(one, ACCOUNT, page.clocks.version) for one in page.transactions]
            news += [Entry(external_id=one, removed_version=page.clocks.version) for one in page.removed]
            for one in news:
                touched |= {one.external_id} | self._together({one.external_id})
                known = self.entries.get(one.external_id)
                self.entries[one.external_id] = joined(known, one) if known else one
            if page.sweep is not None:
                self.sweeps = needed([*self.sweeps, page.sweep])
                touched |= {
                    name
                    for name, one in self.entries.items()
                    if one.booked_on
                    and page.sweep.from_date <= one.booked_on <= page.sweep.through
                    and one.version < page.sweep.since_version
                }
        judged = {name: self.entries[name] for name in self._together(touched)}
        self.entries |= settled(ACCOUNT, judged, self.sweeps)

    def _together(self, names: set[str]) -> set[str]:
        """The external ids that are judged together with these."""
        found = set(names) & self.entries.keys()
        while True:
            ids, prints = set(found), set()
            for name in found:
                more_ids, more_prints = related(self.entries[name])
                ids |= set(more_ids)
                prints |= set(more_prints)
            more = {
                name
                for name, one in self.entries.items()
                if name in ids or one.replaces in ids or (one.fingerprint and one.fingerprint in prints)
            }
            if more <= found:
                return found
            found |= more


def after(*batches: list[TransactionsBatch]) -> Model:
    model = Model()
    for batch in batches:
        model.take(batch)
    return model


def batched(pages: list[TransactionsBatch], rng: random.Random) -> list[list[TransactionsBatch]]:
    """The pages in any order, some twice, in batches of any size."""
    shuffled = [*pages, *rng.sample(pages, rng.randint(0, len(pages)))]
    rng.shuffle(shuffled)
    batches = []
    while shuffled:
        size = rng.randint(1, len(shuffled))
        batches.append(shuffled[:size])
        shuffled = shuffled[size:]
    return batches


class TestAnyOrder:
    @settings(max_examples=250, deadline=None)
    @given(stories(), st.randoms(use_true_random=False))
    def test_any_order_duplication_and_batching_of_pages_leaves_the_same(self, pages, rng) -> None:
        found = after(*batched(pages, rng))
        expected = after(*[[page] for page in pages])
        assert (found.entries, found.sweeps) == (expected.entries, expected.sweeps)

    @settings(max_examples=120, deadline=None)
    @given(stories(), st.randoms(use_true_random=False))
    def test_what_is_judged_in_parts_is_as_if_all_were_judged_at_once(self, pages, rng) -> None:
        found = after(*batched(pages, rng))
        assert found.entries == settled(ACCOUNT, found.entries, found.sweeps)

    @settings(max_examples=120, deadline=None)
    @given(stories())
    def test_no_two_that_are_there_share_an_id(self, pages) -> None:
        ids = [one.transaction_id for one in after(pages).entries.values() if not one.removed]
        assert len(set(ids)) == len(ids)

    @settings(max_examples=100, deadline=None)
    @given(stories())
    def test_needless_sweeps_change_nothing(self, pages) -> None:
        found = after(pages)
        every = {page.sweep for page in pages if page.sweep}
        assert settled(ACCOUNT, found.entries, every) == found.entries
        assert needed(every) == found.sweeps

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), max_size=6))
    def test_united_ranges_are_of_the_same_days_and_never_touch(self, pairs) -> None:
        ranges = [(date(2026, 1, min(pair)), date(2026, 1, max(pair))) for pair in pairs]
        found = united(ranges)

        def days(given: list[tuple[date, date]]) -> set[int]:
            return {day for one in given for day in range(one[0].toordinal(), one[1].toordinal() + 1)}

        assert days(found) == days(ranges)
        assert all(a[1].toordinal() + 1 < b[0].toordinal() for a, b in pairwise(found))
        assert united(reversed(found)) == found


class TestSuccession:
    def test_two_genuine_identical_trades_both_survive_under_ids_of_their_own(self) -> None:
        found = after([SCHWAB.did(trade("t1"), trade("t2"))]).entries
        assert [one.removed for one in found.values()] == [False, False]
        assert [one.transaction_id for one in found.values()] == [own("t1"), own("t2")]

    def test_a_sweep_retracts_what_was_not_told_since_whichever_comes_first(self) -> None:
        pages = [
            SCHWAB.did(trade("old", -1), trade("later", -2, day=9)),
            SCHWAB.did(trade("new"), version=3, sweep=swept(3, 1, 8)),
        ]
        for order in permutations(pages):
            found = after(*[[one] for one in order]).entries
            removed = {name: one.removed for name, one in found.items()}
            assert removed == {"old": True, "later": False, "new": False}

    @pytest.mark.parametrize("told_pending", [True, False])
    def test_a_posted_transaction_retires_the_pending_one_and_bears_its_id(self, told_pending) -> None:
        pages = [SCHWAB.did(trade("p", pending=True))] if told_pending else []
        pages.append(SCHWAB.did(trade("t", -6, day=7, replaces="p"), version=2))
        for order in permutations(pages):
            found = after(*[[one] for one in order]).entries
            assert (found["t"].removed, found["t"].transaction_id) == (False, own("p"))
            assert not told_pending or found["p"].removed

    def test_a_later_twin_never_takes_the_id_that_a_pending_one_left_to_its_posted_one(self) -> None:
        model = after([SCHWAB.did(trade("p", pending=True))])
        model.take([SCHWAB.did(trade("t", -6, replaces="p"), version=2)])
        model.take([SCHWAB.did(trade("twin"), version=3)])
        there = {name: one.transaction_id for name, one in model.entries.items() if not one.removed}
        assert there == {"t": own("p"), "twin": own("twin")}

    def test_ids_that_a_provider_changes_keep_ours_again_and_again(self) -> None:
        pages = [
            SCHWAB.did(trade(f"{name}1"), trade(f"{name}2"), version=version, sweep=swept(version))
            for version, name in enumerate("abc", start=1)
        ]
        for order in permutations(pages):
            found = after(*[[one] for one in order]).entries
            there = {name: one.transaction_id for name, one in found.items() if not one.removed}
            assert there == {"c1": own("a1"), "c2": own("a2")}

    def test_a_trade_whose_twin_is_cancelled_keeps_its_id(self) -> None:
        model = after([SCHWAB.did(trade("t1"), trade("t2"))])
        model.take([SCHWAB.did(trade("n1"), trade("n2"), version=2, sweep=swept(2))])
        model.take([SCHWAB.did(trade("n2"), version=3, sweep=swept(3))])
        there = {name: one.transaction_id for name, one in model.entries.items() if not one.removed}
        assert there == {"n2": own("t2")}

    def test_a_trade_that_was_there_beside_another_never_takes_its_id(self) -> None:
        model = after([SCHWAB.did(trade("t1"))])
        model.take([SCHWAB.did(trade("t1"), trade("t2"), version=2)])
        model.take([SCHWAB.did(trade("t2"), version=3, sweep=swept(3))])
        assert model.entries["t2"].transaction_id == own("t2")

    def test_what_is_told_again_after_its_removal_is_back_under_its_id(self) -> None:
        pages = [
            SCHWAB.did(trade("t")),
            SCHWAB.did(version=2, removed=["t"]),
            SCHWAB.did(trade("t"), version=3),
        ]
        for order in permutations(pages):
            one = after(*[[page] for page in order]).entries["t"]
            assert (one.removed, one.transaction_id, one.version) == (False, own("t"), 3)

    def test_things_that_replace_each_other_are_all_retired_and_nothing_hangs(self) -> None:
        found = after(
            [SCHWAB.did(trade("a", replaces="b"), trade("b", replaces="a"), trade("c", replaces="c"))]
        )
        assert {name: one.removed for name, one in found.entries.items()} == {
            "a": True,
            "b": True,
            "c": False,
        }


class TestFingerprints:
    def test_equal_numbers_in_other_forms_have_one_fingerprint(self) -> None:
        one, other = trade("t1", "-5.00", price=Decimal("1E+1")), trade("t2", "-5", price=Decimal(10))
        assert fingerprint(one, ACCOUNT) == fingerprint(other, ACCOUNT)

    @pytest.mark.parametrize(
        "other",
        [
            {"amount": -6},
            {"day": 6},
            {"type": TransactionType.SELL},
            {"quantity": Decimal(2)},
            {"price": Decimal(1)},
            {"currency": "CAD"},
            {"instrument": stock("VOO", 1).instrument},
            {"instrument": None},
        ],
    )
    def test_anything_by_which_trades_differ_makes_another_fingerprint(self, other) -> None:
        assert fingerprint(trade("t", **other), ACCOUNT) != fingerprint(trade("t"), ACCOUNT)

    def test_the_booked_day_is_the_providers_else_of_the_trade_else_of_the_settlement(self) -> None:
        clocks = {"traded_at": datetime(2026, 1, 3, 23, tzinfo=UTC), "settlement_date": date(2026, 1, 6)}
        assert booked_day(trade("t", day=5, **clocks)) == date(2026, 1, 5)
        assert booked_day(trade("t", **clocks | {"booked_on": None})) == date(2026, 1, 3)
        assert booked_day(trade("t", settlement_date=date(2026, 1, 6), booked_on=None)) == date(2026, 1, 6)
        assert fingerprint(trade("t", booked_on=None), ACCOUNT) is None


async def apply(applier: Applier, *messages: Message) -> list[object]:
    return list(await applier([received(message) for message in messages]))


async def rows(database: Database, query: str, user: str | None = None) -> list[Any]:
    async with database.transaction(user) as conn:
        return await (await conn.execute(query)).fetchall()


def story(rng: random.Random) -> list[TransactionsBatch]:
    """Pages as a provider might tell them that changes its mind a lot."""
    pages = []
    for version in range(1, 7):
        items = [
            trade(
                f"t{rng.randint(0, 7)}",
                rng.choice([-5, -7]),
                day=rng.randint(1, 3),
                replaces=rng.choice([None, None, f"t{rng.randint(0, 7)}"]),
            )
            for _ in range(rng.randint(0, 5))
        ]
        first, last = sorted((rng.randint(1, 4), rng.randint(1, 4)))
        pages.append(
            SCHWAB.did(
                *items,
                version=version,
                removed=[f"t{rng.randint(0, 7)}"] if rng.random() < 0.3 else [],
                sweep=swept(rng.randint(1, version), first, last) if rng.random() < 0.5 else None,
                covers_from=date(2026, 1, first) if rng.random() < 0.8 else None,
                covers_through=date(2026, 1, last),
            )
        )
    return pages


class TestStored:
    async def test_the_tables_are_the_same_after_any_order_duplication_and_batching(
        self, applier, database
    ) -> None:
        rng = random.Random(11)
        for _ in range(15):
            pages, found = story(rng), []
            for batches in ([[page] for page in pages], batched(pages, rng), batched(pages, rng)):
                async with database.transaction() as conn:
                    for table in ("transactions", "transaction_sweeps", "transaction_coverage"):
                        await conn.execute(f"DELETE FROM portfolio.{table}")
                for batch in batches:
                    assert await apply(applier, *batch) == [DONE] * len(batch)
                found.append(await dump(database))
            assert found[0]["transactions"]
            assert found[1] == found[0]
            assert found[2] == found[0]

    async def test_the_tables_say_what_the_rules_say(self, applier, database) -> None:
        pages = story(random.Random(5))
        await apply(applier, *pages)
        query = "SELECT external_id, removed, transaction_id::text FROM portfolio.transactions"
        expected = {(name, one.removed, one.transaction_id) for name, one in after(pages).entries.items()}
        assert set(await rows(database, query)) == expected

    async def test_a_row_keeps_all_that_was_told_of_it(self, applier, database, reader) -> None:
        one = trade(
            "t",
            "-191.5",
            price=Decimal("191.5"),
            fee=Decimal("0.01"),
            settlement_date=date(2026, 1, 7),
            option_action="BUY_TO_OPEN",
            fx_rate=Decimal("1.1"),
            broker_reference="B-1",
            pending=True,
        )
        await apply(applier, SCHWAB.lists(SCHWAB.account()), SCHWAB.did(one))
        query = """SELECT transaction_id::text, type, raw_type, trim_scale(amount), trim_scale(price),
            trim_scale(fee), symbol, booked_on, settlement_date, option_action, trim_scale(fx_rate),
            broker_reference, pending FROM portfolio.v_transactions"""
        assert await rows(reader, query, "user-1") == [
            (
                own("t"),
                "BUY",
                "buy",
                Decimal("-191.5"),
                Decimal("191.5"),
                Decimal("0.01"),
                "VTI",
                date(2026, 1, 5),
                date(2026, 1, 7),
                "BUY_TO_OPEN",
                Decimal("1.1"),
                "B-1",
                True,
            )
        ]

    async def test_items_are_counted_once_however_often_their_page_comes(self, applier, database) -> None:
        first = SCHWAB.did(trade("t1"), trade("t2"), run_id="run-1")
        second = SCHWAB.did(trade("t1"), trade("t2", -6), trade("t3"), version=2, run_id="run-2")
        await apply(applier, first, first)
        await apply(applier, second, first)
        await apply(applier, second)
        query = "SELECT run_id, new_items, updated_items FROM portfolio.sync_counts ORDER BY 1"
        assert await rows(database, query) == [("run-1", 2, 0), ("run-2", 1, 1)]

    async def test_pages_of_one_batch_are_counted_as_if_they_came_one_by_one(self, applier, database) -> None:
        first = SCHWAB.did(trade("t1"), trade("t2"), run_id="run-1")
        second = SCHWAB.did(trade("t2", -6), trade("t3"), version=2, run_id="run-2")
        await apply(applier, second, first, second)
        query = "SELECT run_id, new_items, updated_items FROM portfolio.sync_counts ORDER BY 1"
        assert await rows(database, query) == [("run-1", 2, 0), ("run-2", 1, 1)]

    async def test_only_ranges_that_touch_are_joined_and_the_latest_is_shown(
        self, applier, database, reader
    ) -> None:
        def covering(first: int, last: int, version: int) -> TransactionsBatch:
            days = {"covers_from": date(2026, 1, first), "covers_through": date(2026, 1, last)}
            return SCHWAB.did(version=version, **days)

        await apply(applier, covering(1, 3, 1), covering(8, 10, 2))
        query = "SELECT covers_from, covers_through FROM portfolio.v_transaction_coverage"
        assert await rows(reader, query, "user-1") == [(date(2026, 1, 8), date(2026, 1, 10))]
        await apply(applier, covering(4, 7, 3))
        assert await rows(reader, query, "user-1") == [(date(2026, 1, 1), date(2026, 1, 10))]
        assert len(await rows(database, "SELECT 1 FROM portfolio.transaction_coverage")) == 1

    async def test_needless_sweeps_are_not_kept(self, applier, database) -> None:
        await apply(
            applier, SCHWAB.did(version=2, sweep=swept(2, 3, 5)), SCHWAB.did(version=3, sweep=swept(3))
        )
        await apply(applier, SCHWAB.did(version=1, sweep=swept(1, 1, 2)))
        query = "SELECT from_date, through, since_version FROM portfolio.transaction_sweeps"
        assert await rows(database, query) == [(date(2026, 1, 1), date(2026, 1, 31), 3)]

    async def test_accounts_and_users_do_not_retract_each_others(self, applier, database) -> None:
        other = Link("snaptrade", "charles-schwab", user="user-2")
        for link, account in ((SCHWAB, "a"), (SCHWAB, "b"), (other, "a")):
            await apply(applier, link.did(trade("t"), account=account))
        await apply(applier, SCHWAB.did(version=2, sweep=swept(2)))
        query = "SELECT user_id, account_id::text, removed FROM portfolio.transactions"
        assert set(await rows(database, query)) == {
            ("user-1", ACCOUNT, True),
            ("user-1", SCHWAB.account_id("b"), False),
            ("user-2", other.account_id("a"), False),
        }

    async def test_transactions_known_by_the_booked_day_alone_tell_accounts_apart_too(
        self, applier, database
    ) -> None:
        seen = {"traded_at": datetime(2026, 1, 3, 15, tzinfo=UTC)}
        await apply(
            applier,
            SCHWAB.did(
                trade("t1", "-5.01"), trade("t2", "-6.02", **seen), trade("t3", "-7.03", booked_on=None)
            ),
        )
        async with database.transaction() as conn:
            [found] = (await load_fingerprints(conn, {ACCOUNT: "user-1"})).values()
        assert [one.partition(":")[0] for one in found] == ["2026-01-03", "2026-01-05"]
