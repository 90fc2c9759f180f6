"""The consolidation rule: the worked cases, and that order, duplication and batching never matter."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consolidator.book import Book
from consolidator.domain.consolidate import Consolidated, consolidate
from consolidator.domain.values import Decision
from consolidator.testing import Link, cash, fold, positions_of, stock
from contracts.holdings import Holding
from contracts.instruments import Instrument, InstrumentKind
from contracts.messages import Message
from contracts.statuses import ConnectionStatus

SCHWAB = Link("snaptrade", "charles-schwab")
FIDELITY = Link("plaid", "fidelity")
FIDELITY_TOO = Link("snaptrade", "fidelity")
CHASE = Link("plaid", "chase")
MANUAL = Link("manual", "manual")


def position(messages: list[Message], key: str, currency: str = "USD") -> Consolidated:
    return positions_of(fold(messages))[key, currency]


class TestWorkedCases:
    def test_cash_of_three_sources_is_summed(self) -> None:
        found = position(
            [CHASE.holds(cash(5000)), SCHWAB.holds(cash(3000)), MANUAL.holds(cash(1000))], "CUR:USD"
        )
        assert found.quantity == Decimal(9000)
        assert len(found.contributions) == 3

    def test_aapl_at_two_brokers_is_summed_with_metadata_of_the_higher_priority(self) -> None:
        book = fold([FIDELITY.holds(stock("AAPL", 100, 190)), SCHWAB.holds(stock("AAPL", 50, 191))])
        found = positions_of(book)["AAPL", "USD"]
        assert (found.quantity, found.provider, found.price) == (Decimal(150), "snaptrade", Decimal(191))
        assert found.account_id == SCHWAB.account_id("a")
        assert sorted(part.quantity for part in found.contributions) == [50, 100]
        apart = {
            held.current.lines[0].quantity
            for held in book.held.values()
            if held.current and held.current.lines
        }
        assert apart == {Decimal(100), Decimal(50)}

    def test_a_manual_account_marked_the_same_is_not_counted_beside_the_real_one(self) -> None:
        book = Book("user-1")
        pair = tuple(sorted((MANUAL.account_id("a"), SCHWAB.account_id("a"))))
        decided = Decision(
            accounts=(pair[0], pair[1]), verdict="same", decided_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        book.decisions = (decided,)
        book = fold([MANUAL.holds(stock("TSLA", 10)), SCHWAB.holds(stock("TSLA", 12))], book=book)
        found = positions_of(book)["TSLA", "USD"]
        assert found.quantity == 12
        assert [(left.quantity, left.rule) for left in found.excluded] == [(Decimal(10), "lower_priority")]

    def test_one_account_linked_through_both_providers_is_counted_once(self) -> None:
        held = [stock("AAPL", 100, 190), stock("VTI", 20, 250), cash(12)]
        book = fold(
            [
                FIDELITY.lists(FIDELITY.account(mask="1234")),
                FIDELITY_TOO.lists(FIDELITY_TOO.account(mask="1234")),
                FIDELITY.holds(*held),
                FIDELITY_TOO.holds(*held),
            ]
        )
        found = positions_of(book)["AAPL", "USD"]
        assert (found.quantity, found.provider, len(found.excluded)) == (Decimal(100), "snaptrade", 1)
        assert not any(real.needs_decision for real in book.real_accounts.values())

    def test_two_accounts_with_the_same_last_digits_and_other_holdings_are_both_counted(self) -> None:
        found = position(
            [
                FIDELITY.lists(FIDELITY.account(mask="1234")),
                FIDELITY_TOO.lists(FIDELITY_TOO.account(mask="1234")),
                FIDELITY.holds(stock("AAPL", 100), stock("BND", 7), stock("VXUS", 3)),
                FIDELITY_TOO.holds(stock("AAPL", 100), stock("VTI", 20)),
            ],
            "AAPL",
        )
        assert found.quantity == 200


class TestTheRule:
    def test_a_broken_connection_hands_over_to_the_other_sight_of_the_account(self) -> None:
        held = [stock("AAPL", 100, 190), stock("VTI", 20, 250)]
        messages: list[Message] = [
            FIDELITY.lists(FIDELITY.account(mask="1234")),
            FIDELITY_TOO.lists(FIDELITY_TOO.account(mask="1234")),
            FIDELITY.holds(*held),
            FIDELITY_TOO.holds(*held),
        ]
        assert position(messages, "AAPL").provider == "snaptrade"
        broken = position([*messages, FIDELITY_TOO.is_now(ConnectionStatus.BROKEN, 2)], "AAPL")
        assert (broken.provider, broken.stale, broken.quantity) == ("plaid", False, Decimal(100))
        assert broken.excluded[0].rule == "unhealthy:connection_broken"

    def test_without_a_healthy_source_the_freshest_stays_and_is_stale(self) -> None:
        found = position([SCHWAB.holds(stock("AAPL", 1)), SCHWAB.is_now(ConnectionStatus.REVOKED, 2)], "AAPL")
        assert (found.quantity, found.stale) == (Decimal(1), True)

    def test_a_removed_connection_counts_no_more(self) -> None:
        assert (
            positions_of(fold([SCHWAB.holds(stock("A", 1)), SCHWAB.is_now(ConnectionStatus.REMOVED, 2)]))
            == {}
        )

    def test_unknown_costs_make_the_sum_incomplete_never_whole(self) -> None:
        found = position([CHASE.holds(stock("A", 1, 5, cost=4)), SCHWAB.holds(stock("A", 2, None))], "A")
        assert (found.cost_basis, found.cost_basis_complete) == (Decimal(4), False)
        assert (found.market_value, found.value_complete) == (Decimal(5), False)

    def test_long_and_short_that_cancel_leave_no_position(self) -> None:
        assert positions_of(fold([CHASE.holds(stock("A", 5)), SCHWAB.holds(stock("A", -5))])) == {}

    def test_a_value_without_a_quantity_is_never_dropped(self) -> None:
        trust = msgspec.structs.replace(stock("TRUST", 0), market_value=Decimal(500))
        found = position([CHASE.holds(trust)], "TRUST")
        assert (found.quantity, found.market_value) == (Decimal(0), Decimal(500))

    def test_currencies_are_never_mixed(self) -> None:
        found = positions_of(fold([CHASE.holds(cash(5)), SCHWAB.holds(cash(7, "EUR"))]))
        assert {slot: one.quantity for slot, one in found.items()} == {
            ("CUR:USD", "USD"): Decimal(5),
            ("CUR:EUR", "EUR"): Decimal(7),
        }

    def test_a_shared_figi_joins_two_tickers_under_the_one_people_know(self) -> None:
        same = {"figi": "BBG000MM2P62"}
        found = positions_of(
            fold([CHASE.holds(stock("FIGI:BBG000MM2P62", 3, **same)), SCHWAB.holds(stock("META", 4, **same))])
        )
        assert {slot: one.quantity for slot, one in found.items()} == {("META", "USD"): Decimal(7)}

    def test_an_option_never_joins_its_underlying_by_figi(self) -> None:
        option = Holding(
            instrument=Instrument(key="AAPL270115C00260000", kind=InstrumentKind.OPTION, figi="BBG000B9XRY4"),
            quantity=Decimal(1),
            currency="USD",
        )
        found = positions_of(fold([CHASE.holds(option), SCHWAB.holds(stock("AAPL", 4, figi="BBG000B9XRY4"))]))
        assert len(found) == 2

    def test_digits_beyond_the_usual_precision_are_summed_exactly(self) -> None:
        tiny, huge = "0.000000000000000001", "99999999999999999999.999999999999999999"
        found = position([CHASE.holds(stock("A", tiny, None)), SCHWAB.holds(stock("A", huge, None))], "A")
        assert found.quantity == Decimal(100000000000000000000)

    def test_nothing_held_is_nothing(self) -> None:
        assert consolidate([]) == {}


LINKS = (SCHWAB, CHASE, MANUAL, FIDELITY, FIDELITY_TOO)
QUANTITIES = st.decimals(min_value=-1000, max_value=1000, places=6).filter(lambda value: value != 0)


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Runs of several connections: accounts listed, holdings read, statuses changed, some of it incomplete."""
    messages: list[Message] = []
    for link in draw(st.lists(st.sampled_from(LINKS), min_size=1, max_size=4, unique=True)):
        accounts = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
        for version in range(1, draw(st.integers(1, 4)) + 1):
            present = [name for name in accounts if draw(st.integers(0, 5))]
            listed = [link.account(name, mask=draw(st.sampled_from(["1111", "2222"]))) for name in present]
            messages.append(link.lists(*listed, version=version))
            for name in present:
                # Three of five instruments at least, so that nothing looks like an erasure.
                keys = draw(st.lists(st.sampled_from("VWXYZ"), min_size=3, max_size=5, unique=True))
                held = [stock(key, str(draw(QUANTITIES)), 3) for key in keys]
                complete = bool(draw(st.integers(0, 4)))
                messages.append(link.holds(*held, account=name, version=version, complete=complete))
            if not draw(st.integers(0, 3)):
                status = draw(st.sampled_from([ConnectionStatus.BROKEN, ConnectionStatus.ACTIVE]))
                messages.append(link.is_now(status, version))
        messages.append(link.linked())
    return messages


class TestWhateverTheOrder:
    @given(histories(), st.randoms(use_true_random=False), st.integers(1, 7))
    @settings(max_examples=150, deadline=None)
    def test_order_duplication_and_batching_do_not_matter(self, history, rng, batch) -> None:
        expected = fold(history)
        shuffled = history + rng.sample(history, rng.randint(0, len(history)))
        rng.shuffle(shuffled)
        found = fold(shuffled, batch=batch)
        assert positions_of(found) == positions_of(expected)
        assert found.real_accounts == expected.real_accounts
        assert found.checks == expected.checks

    @given(histories())
    @settings(max_examples=100, deadline=None)
    def test_quantities_are_conserved_exactly(self, history) -> None:
        book = fold(history)
        counted = [
            line
            for real in book.real_accounts.values()
            if real.counted_account_id
            for line in (book.held[real.counted_account_id].current.lines or ())
        ]
        for (key, currency), found in positions_of(book).items():
            mine = [line.quantity for line in counted if (line.ref.key, line.currency) == (key, currency)]
            assert found.quantity == sum(mine) == sum(part.quantity for part in found.contributions)

    @given(histories())
    @settings(max_examples=50, deadline=None)
    def test_every_present_account_is_in_exactly_one_real_account(self, history) -> None:
        book = fold(history)
        members = [member for real in book.real_accounts.values() for member in real.members]
        assert sorted(members) == [account.account_id for account in book.present_accounts()]


@pytest.mark.parametrize("text", ["100", "100.00", "1E+2", "1.0E2"])
def test_equal_numbers_give_equal_positions_however_they_are_written(text) -> None:
    expected = positions_of(fold([SCHWAB.holds(stock("A", 100, 10))]))
    found = positions_of(fold([SCHWAB.holds(stock("A", text, "10.000"))]))
    assert repr(found) == repr(expected)
