"""What people decide, as the consolidator applies it: identity, portfolios, consolidation on demand."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from consolidator.apply import Applier
from consolidator.testing import NOW, Link, dump, fold, received, stock
from contracts.decisions import ConsolidationRequested, IdentityDecided, IdentityVerdict, PortfolioDefined
from contracts.ids import portfolio_id
from contracts.messages import Message
from messaging.policy import DONE, Park
from persistence.database import Database

SCHWAB = Link("snaptrade", "charles-schwab")
FIDELITY = Link("plaid", "fidelity")
FIDELITY_TOO = Link("snaptrade", "fidelity")
TYPED = Link("manual", "manual")
DEFAULT = portfolio_id("user-1")
RETIREMENT = "00000000-0000-4000-8000-00000000000a"
MINUTE = timedelta(minutes=1)


def decided(one: str, other: str, verdict: IdentityVerdict, number: int = 1) -> IdentityDecided:
    return IdentityDecided(
        user_id="user-1",
        decision_id=f"00000000-0000-4000-8000-{number:012d}",
        account_ids=sorted((one, other)),
        verdict=verdict,
        decided_by="user-1",
        decided_at=NOW + number * MINUTE,
    )


def defined(*account_ids: str, version: int = 1, deleted: bool = False) -> PortfolioDefined:
    return PortfolioDefined(
        user_id="user-1",
        portfolio_id=RETIREMENT,
        name="Retirement",
        account_ids=list(account_ids),
        deleted=deleted,
        version=version,
        defined_at=NOW,
    )


def requested(*portfolios: str, number: int = 1) -> ConsolidationRequested:
    return ConsolidationRequested(
        user_id="user-1",
        request_id=f"00000000-0000-4000-8000-{number:012d}",
        portfolio_ids=list(portfolios),
        requested_by="user-1",
        requested_at=NOW,
    )


async def apply(applier: Applier, *messages: Message) -> list[object]:
    return await applier([received(message) for message in messages])


async def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.transaction() as conn:
        return await (await conn.execute(query)).fetchall()


async def positions(database: Database, portfolio: str = DEFAULT) -> dict[str, Decimal]:
    query = f"SELECT ticker, quantity FROM portfolio.positions WHERE portfolio_id = '{portfolio}'"
    return dict(await rows(database, query))


TSLA = [SCHWAB.lists(SCHWAB.account()), SCHWAB.holds(stock("TSLA", 12))]
TYPED_TSLA = [TYPED.lists(TYPED.account()), TYPED.holds(stock("TSLA", 10))]
PAIR = (SCHWAB.account_id("a"), TYPED.account_id("a"))


class TestIdentity:
    async def test_a_typed_account_that_the_user_says_is_the_same_is_not_counted_beside_the_real_one(
        self, applier, database
    ) -> None:
        await apply(applier, *TSLA, *TYPED_TSLA)
        assert await positions(database) == {"TSLA": 22}
        assert await apply(applier, decided(*PAIR, IdentityVerdict.SAME)) == [DONE]
        assert await positions(database) == {"TSLA": 12}

    async def test_an_undone_decision_gives_way_to_the_evidence(self, applier, database) -> None:
        await apply(applier, *TSLA, *TYPED_TSLA, decided(*PAIR, IdentityVerdict.SAME, 1))
        await apply(applier, decided(*PAIR, IdentityVerdict.UNDONE, 2))
        assert await positions(database) == {"TSLA": 22}
        told = "SELECT verdict, holds FROM portfolio.v_identity_decisions ORDER BY decided_at"
        assert await rows(database, told) == [("same", False), ("undone", True)]

    @pytest.mark.parametrize("batch", [1, 3, 10])
    def test_a_decision_counts_whenever_it_comes_and_the_newest_holds(self, batch) -> None:
        said = [
            decided(*PAIR, IdentityVerdict.DIFFERENT, 1),
            decided(*PAIR, IdentityVerdict.SAME, 2),
        ]
        for order in permutations([*TSLA, *TYPED_TSLA, *said]):
            book = fold(list(order), batch=batch)
            assert len(book.real_accounts) == 1

    async def test_a_second_delivery_changes_nothing(self, applier, database) -> None:
        messages = [*TSLA, *TYPED_TSLA, decided(*PAIR, IdentityVerdict.SAME)]
        await apply(applier, *messages)
        before = await dump(database)
        assert await apply(applier, *messages) == [DONE] * len(messages)
        assert await dump(database) == before

    async def test_a_decision_about_accounts_of_others_says_nothing_about_them(
        self, applier, database
    ) -> None:
        other = Link("snaptrade", "charles-schwab", user="user-2")
        await apply(applier, *TSLA, other.lists(other.account()), other.holds(stock("TSLA", 5)))
        before = await positions(database, portfolio_id("user-2"))
        pair = (SCHWAB.account_id("a"), other.account_id("a"))
        assert await apply(applier, decided(*pair, IdentityVerdict.SAME)) == [DONE]
        assert await positions(database) == {"TSLA": 12}
        assert await positions(database, portfolio_id("user-2")) == before

    @pytest.mark.parametrize("accounts", [[], [PAIR[0]], [PAIR[0], PAIR[0]], [*PAIR, DEFAULT]])
    async def test_a_decision_that_is_not_about_two_accounts_is_parked(self, applier, accounts) -> None:
        good = decided(*PAIR, IdentityVerdict.SAME)
        fields = {name: getattr(good, name) for name in good.__struct_fields__}
        [outcome] = await apply(applier, IdentityDecided(**fields | {"account_ids": accounts}))
        assert isinstance(outcome, Park)


class TestNotDescribedYet:
    async def test_a_second_sight_is_not_counted_before_its_provider_described_it(
        self, applier, database
    ) -> None:
        first = [FIDELITY_TOO.lists(FIDELITY_TOO.account(mask="1234")), FIDELITY_TOO.holds(stock("A", 100))]
        await apply(applier, *first)
        await apply(applier, FIDELITY.holds(stock("A", 90), stock("B", 1)))
        assert await positions(database) == {"A": 100}
        told = "SELECT account_id::text, waiting FROM portfolio.v_accounts ORDER BY waiting"
        assert await rows(database, told) == [
            (FIDELITY_TOO.account_id("a"), False),
            (FIDELITY.account_id("a"), True),
        ]
        await apply(applier, FIDELITY.lists(FIDELITY.account(mask="9876"), version=1))
        assert await positions(database) == {"A": 190, "B": 1}

    async def test_of_several_that_nobody_described_one_is_counted_at_every_moment(
        self, applier, database
    ) -> None:
        for link in (FIDELITY, FIDELITY_TOO):
            await apply(applier, link.holds(stock("A", 100)))
            assert await positions(database) == {"A": 100}
        await apply(
            applier, Link("plaid", "fidelity", "third").lists(Link("plaid", "fidelity", "third").account())
        )
        assert await positions(database) == {"A": 100}

    async def test_the_only_account_of_an_institution_need_not_be_described(self, applier, database) -> None:
        await apply(applier, SCHWAB.holds(stock("A", 1)), FIDELITY.holds(stock("A", 2)))
        assert await positions(database) == {"A": 3}


class TestPortfolios:
    async def test_a_named_portfolio_has_positions_of_its_own(self, applier, database) -> None:
        await apply(applier, *TSLA, FIDELITY.holds(stock("TSLA", 5), stock("VTI", 1)))
        await apply(applier, defined(FIDELITY.account_id("a")))
        assert await positions(database, RETIREMENT) == {"TSLA": 5, "VTI": 1}
        assert await positions(database) == {"TSLA": 17, "VTI": 1}
        await apply(applier, FIDELITY.holds(stock("VTI", 2), version=2))
        assert await positions(database, RETIREMENT) == {"VTI": 2}

    async def test_it_holds_the_real_account_whichever_sight_was_named(self, applier, database) -> None:
        await apply(applier, *TSLA, *TYPED_TSLA, decided(*PAIR, IdentityVerdict.SAME))
        await apply(applier, defined(TYPED.account_id("a")))
        assert await positions(database, RETIREMENT) == {"TSLA": 12}

    async def test_an_empty_one_exists_and_has_a_version(self, applier, database) -> None:
        await apply(applier, defined())
        told = "SELECT portfolio_id::text, version, positions FROM portfolio.v_portfolio_versions"
        assert await rows(database, told) == [(RETIREMENT, 1, 0)]

    async def test_a_dropped_one_loses_its_positions_and_stays_dropped(self, applier, database) -> None:
        whole = defined(SCHWAB.account_id("a"))
        dropped = defined(version=2, deleted=True)
        await apply(applier, *TSLA, whole)
        await apply(applier, dropped)
        await apply(applier, whole)
        assert await positions(database, RETIREMENT) == {}
        assert await positions(database) == {"TSLA": 12}

    async def test_the_order_of_definitions_does_not_matter(self, applier, database) -> None:
        await apply(applier, defined(SCHWAB.account_id("a"), version=2), *TSLA, defined(version=1))
        assert await positions(database, RETIREMENT) == {"TSLA": 12}

    async def test_the_default_portfolio_cannot_be_defined(self, applier, database) -> None:
        good = defined()
        fields = {name: getattr(good, name) for name in good.__struct_fields__}
        [outcome] = await apply(applier, PortfolioDefined(**fields | {"portfolio_id": DEFAULT}))
        assert isinstance(outcome, Park)


class TestOnDemand:
    COUNTS = """SELECT portfolio_id::text, positions, accounts, real_accounts, providers, changed, version
        FROM portfolio.v_consolidations ORDER BY portfolio_id = '{0}' DESC"""

    async def test_it_says_what_there_is_and_what_changed(self, applier, database) -> None:
        await apply(applier, *TSLA, *TYPED_TSLA, defined(TYPED.account_id("a")))
        assert await apply(applier, requested()) == [DONE]
        assert await rows(database, self.COUNTS.format(DEFAULT)) == [
            (DEFAULT, 1, 2, 2, {"manual": 1, "snaptrade": 1}, 0, 1),
            (RETIREMENT, 1, 1, 1, {"manual": 1}, 0, 1),
        ]

    async def test_it_repairs_rows_that_were_lost(self, applier, database) -> None:
        await apply(applier, *TSLA)
        async with database.transaction() as conn:
            await conn.execute("UPDATE portfolio.positions SET quantity = 99, digest = 0")
            await conn.execute("UPDATE portfolio.portfolio_versions SET version = version + 1")
        await apply(applier, requested(DEFAULT))
        assert await positions(database) == {"TSLA": 12}
        assert (await rows(database, self.COUNTS.format(DEFAULT)))[0][5] == 1

    async def test_it_trusts_what_is_stored_and_not_what_this_process_remembers(
        self, applier, database
    ) -> None:
        await apply(applier, *TSLA)
        async with database.transaction() as conn:
            await conn.execute("DELETE FROM portfolio.positions")
        await apply(applier, requested(DEFAULT))
        assert await positions(database) == {"TSLA": 12}

    async def test_a_portfolio_nobody_knows_is_left_out(self, applier, database) -> None:
        assert await apply(applier, *TSLA, requested(RETIREMENT)) == [DONE] * 3
        assert await rows(database, self.COUNTS.format(DEFAULT)) == []

    async def test_a_user_without_accounts_gets_an_answer_too(self, applier, database) -> None:
        await apply(applier, requested())
        assert await rows(database, self.COUNTS.format(DEFAULT)) == [(DEFAULT, 0, 0, 0, {}, 0, 0)]

    async def test_a_second_delivery_leaves_the_first_answer(self, applier, database) -> None:
        await apply(applier, *TSLA, requested())
        first = await rows(database, "SELECT * FROM portfolio.v_consolidations")
        await apply(applier, SCHWAB.holds(stock("TSLA", 13), version=2), requested())
        assert await rows(database, "SELECT * FROM portfolio.v_consolidations") == first
