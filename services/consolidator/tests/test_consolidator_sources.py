"""One counted source per real account, and the conservation check."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from consolidator.domain.checks import conserve
from consolidator.domain.sources import Source, choose
from consolidator.domain.values import CheckPolicy, SourcePolicy, Worth
from consolidator.rules import PRIORITIES
from consolidator.testing import NOW, Link, cash, fold, positions_of, stock
from contracts.money import Money
from contracts.statuses import ConnectionStatus

POLICY = SourcePolicy(priorities=dict(PRIORITIES), max_age=timedelta(hours=72))
SCHWAB = Link("snaptrade", "charles-schwab")


def source(name: str, provider: str = "plaid", age: int = 0, problem: str | None = None) -> Source:
    return Source(account_id=name, provider=provider, as_of=NOW - timedelta(hours=age), problem=problem)


@pytest.mark.parametrize(
    ("sources", "counted", "stale"),
    [
        ([source("a"), source("b", "snaptrade", 5)], "b", False),
        ([source("a", age=2), source("b", age=1)], "b", False),
        ([source("b"), source("a")], "a", False),
        ([source("a", "acme"), source("b", "manual", 9)], "b", False),
        ([source("a"), source("b", "snaptrade", 0, "connection_broken")], "a", False),
        ([source("a", "plaid", 1, "too_old"), source("b", "snaptrade", 2, "quarantined")], "a", True),
    ],
)
def test_the_counted_source_is_the_best_healthy_one(sources, counted, stale) -> None:
    for order in permutations(sources):
        found = choose(list(order), POLICY)
        assert found.counted is not None
        assert (found.counted.account_id, found.stale) == (counted, stale)
        assert len(found.excluded) == len(sources) - 1


def test_without_a_snapshot_nothing_is_counted() -> None:
    assert choose([], POLICY).counted is None


def test_a_source_is_too_old_from_72_hours_on() -> None:
    held = [SCHWAB.holds(stock("A", 1), as_of=NOW)]
    almost, exactly = NOW + timedelta(hours=71, minutes=59), NOW + timedelta(hours=72)
    assert [positions_of(fold(held, now=now))["A", "USD"].stale for now in (almost, exactly)] == [False, True]


def test_what_a_disconnected_institutions_cache_says_is_stale() -> None:
    book = fold([SCHWAB.holds(stock("A", 1)), SCHWAB.is_now(ConnectionStatus.STALE_CACHE, 2)])
    assert positions_of(book)["A", "USD"].stale


def test_removed_is_the_end_of_a_connection_whatever_comes_later() -> None:
    messages = [
        SCHWAB.holds(stock("A", 1)),
        SCHWAB.is_now(ConnectionStatus.REMOVED, 2),
        SCHWAB.is_now(ConnectionStatus.ACTIVE, 3),
        SCHWAB.linked(4),
    ]
    for order in permutations(messages):
        assert positions_of(fold(list(order))) == {}


def test_an_account_no_longer_listed_is_gone() -> None:
    messages = [
        SCHWAB.lists(SCHWAB.account("a"), SCHWAB.account("b")),
        SCHWAB.holds(stock("A", 1), account="a"),
        SCHWAB.holds(stock("A", 2), account="b"),
        SCHWAB.lists(SCHWAB.account("a"), version=2),
    ]
    for order in permutations(messages):
        assert positions_of(fold(list(order)))["A", "USD"].quantity == 1


def test_an_incomplete_list_makes_no_account_gone() -> None:
    messages = [
        SCHWAB.lists(SCHWAB.account("a"), SCHWAB.account("b")),
        SCHWAB.holds(stock("A", 1), account="a"),
        SCHWAB.holds(stock("A", 2), account="b"),
        SCHWAB.lists(SCHWAB.account("a"), version=2, complete=False),
    ]
    assert positions_of(fold(messages))["A", "USD"].quantity == 3


class TestConservation:
    @pytest.mark.parametrize(
        ("total", "outcome"),
        [
            ("1000", "ok"),
            ("1001", "ok"),
            ("1005.02", "ok"),
            ("1005.03", "break"),
            ("900", "break"),
            (None, "unknown"),
        ],
    )
    def test_holdings_must_add_up_to_the_total(self, total, outcome) -> None:
        held = [stock("A", 10, 99), cash(10)]
        book = fold([SCHWAB.lists(SCHWAB.account(total=total)), SCHWAB.holds(*held)])
        [check] = book.checks.values()
        assert check.outcome == outcome
        if total is not None:
            assert check.difference == 1000 - Decimal(total)

    def test_a_small_account_may_miss_by_one_unit(self) -> None:
        worth = Worth(currency="USD", value=Decimal(3), unpriced=0, empty=False)
        expected = Money(amount=Decimal(4), currency="USD")
        assert conserve("a", worth, expected, same_run=True, policy=CheckPolicy()).outcome == "ok"

    def test_an_unpriced_holding_never_counts_as_zero(self) -> None:
        book = fold([SCHWAB.lists(SCHWAB.account(total=10)), SCHWAB.holds(cash(10), stock("A", 5, None))])
        assert [(one.outcome, one.reason) for one in book.checks.values()] == [
            ("unknown", "unpriced_holdings")
        ]

    def test_holdings_in_other_currencies_than_the_total_cannot_be_compared(self) -> None:
        book = fold([SCHWAB.lists(SCHWAB.account(total=10)), SCHWAB.holds(cash(5), cash(5, "EUR"))])
        assert [one.reason for one in book.checks.values()] == ["several_currencies"]

    def test_figures_of_different_runs_that_disagree_prove_nothing(self) -> None:
        book = fold([SCHWAB.holds(cash(10)), SCHWAB.lists(SCHWAB.account(total=50), version=2)])
        assert [one.reason for one in book.checks.values()] == ["read_at_different_times"]

    def test_an_empty_account_is_worth_nothing_in_any_currency(self) -> None:
        book = fold([SCHWAB.lists(SCHWAB.account(total=0)), SCHWAB.holds()])
        assert [one.outcome for one in book.checks.values()] == ["ok"]
