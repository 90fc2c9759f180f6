"""The no-erase rule: what may replace what, in whatever order it comes."""

from datetime import timedelta
from itertools import permutations

import pytest

from consolidator.domain.values import Held
from consolidator.testing import NOW, Link, cash, fold, stock
from contracts.messages import Message

SCHWAB = Link("snaptrade", "charles-schwab")
MANY = [stock(f"S{number}", 10, 5) for number in range(20)]
HOUR = timedelta(hours=1)


def held(*messages: Message) -> Held:
    return fold(list(messages)).held[SCHWAB.account_id("a")]


def counted(found: Held) -> int:
    assert found.current is not None
    return found.current.holdings


def test_an_older_version_changes_nothing() -> None:
    newer, older = SCHWAB.holds(stock("A", 1), version=5), SCHWAB.holds(stock("A", 2), version=4)
    assert held(newer, older) == held(older, newer)


def test_equal_content_only_moves_the_clocks() -> None:
    found = held(SCHWAB.holds(*MANY, version=1), SCHWAB.holds(*MANY, version=2))
    assert found.current is not None
    assert (found.current.version, found.current.as_of) == (2, NOW + timedelta(seconds=2))


def test_an_incomplete_snapshot_removes_nothing_and_makes_the_account_suspect() -> None:
    found = held(SCHWAB.holds(*MANY), SCHWAB.holds(MANY[0], version=2, complete=False))
    assert (counted(found), found.suspect) == (20, True)
    assert found.gap is not None
    assert found.gap.reason == "page 2 failed"


def test_a_complete_snapshot_ends_the_suspicion() -> None:
    messages = [SCHWAB.holds(*MANY), SCHWAB.holds(version=2, complete=False), SCHWAB.holds(*MANY, version=3)]
    assert not held(*messages).suspect


@pytest.mark.parametrize("left", [[], MANY[:1]])
def test_a_suddenly_empty_snapshot_is_set_aside(left) -> None:
    found = held(SCHWAB.holds(*MANY), SCHWAB.holds(*left, version=2))
    assert (counted(found), found.suspect, found.quarantine is not None) == (20, True, True)


def test_a_tenth_left_is_believed() -> None:
    assert counted(held(SCHWAB.holds(*MANY), SCHWAB.holds(*MANY[:2], version=2))) == 2


def test_a_second_empty_snapshot_an_hour_later_confirms_the_first() -> None:
    first = SCHWAB.holds(version=2, synced_at=NOW)
    soon = SCHWAB.holds(version=3, synced_at=NOW + HOUR / 2)
    late = SCHWAB.holds(version=4, synced_at=NOW + HOUR)
    assert counted(held(SCHWAB.holds(*MANY), first, soon)) == 20
    found = held(SCHWAB.holds(*MANY), first, soon, late)
    assert (counted(found), found.suspect) == (0, False)


def test_confirmation_does_not_depend_on_the_order() -> None:
    messages = [
        SCHWAB.holds(*MANY),
        SCHWAB.holds(version=2, synced_at=NOW),
        SCHWAB.holds(version=3, synced_at=NOW + HOUR),
    ]
    assert {counted(held(*order)) for order in permutations(messages)} == {0}


def test_an_empty_snapshot_that_comes_before_the_full_one_it_follows_is_still_set_aside() -> None:
    full, empty = SCHWAB.holds(*MANY, version=1), SCHWAB.holds(version=2)
    assert held(empty, full) == held(full, empty)
    assert counted(held(empty, full)) == 20


def test_a_full_snapshot_after_an_empty_one_clears_it() -> None:
    messages = [SCHWAB.holds(*MANY), SCHWAB.holds(version=2), SCHWAB.holds(*MANY[:15], version=3)]
    for order in permutations(messages):
        found = held(*order)
        assert (counted(found), found.quarantine) == (15, None)


def test_what_was_set_aside_is_judged_again_when_its_predecessor_arrives_late() -> None:
    messages = [
        SCHWAB.holds(*MANY, version=1),
        SCHWAB.holds(*MANY[:5], version=2),
        SCHWAB.holds(MANY[0], version=3),
    ]
    assert {counted(held(*order)) for order in permutations(messages)} == {1}


def test_a_sale_of_everything_is_believed_when_cash_rose_to_match() -> None:
    sold = SCHWAB.holds(cash(1090), version=2)
    assert counted(held(SCHWAB.holds(*MANY, cash(100)), sold)) == 1


def test_a_sale_is_not_believed_when_cash_rose_too_little() -> None:
    sold = SCHWAB.holds(cash(500), version=2)
    assert counted(held(SCHWAB.holds(*MANY, cash(100)), sold)) == 21


def test_an_unpriced_holding_that_vanished_is_never_explained_by_cash() -> None:
    before = [*MANY, stock("DARK", 1, None), cash(100)]
    assert counted(held(SCHWAB.holds(*before), SCHWAB.holds(cash(1100), version=2))) == 22


@pytest.mark.parametrize("left", [cash(100), cash(0)])
def test_cash_that_stays_does_not_make_vanished_positions_believable(left) -> None:
    few = [stock("AAPL", 100, 190), stock("VTI", 20, 250), cash(100)]
    found = held(SCHWAB.holds(*few), SCHWAB.holds(left, version=2))
    assert (counted(found), found.quarantine is not None) == (3, True)


def test_cash_rows_beside_what_is_left_do_not_hide_that_nearly_all_is_gone() -> None:
    rest = [MANY[0], cash(1), cash(1, "CAD"), cash(1, "EUR")]
    assert held(SCHWAB.holds(*MANY), SCHWAB.holds(*rest, version=2)).quarantine is not None


def test_an_account_of_cash_alone_that_is_suddenly_empty_is_set_aside() -> None:
    assert held(SCHWAB.holds(cash(100)), SCHWAB.holds(version=2)).quarantine is not None


def test_cash_that_is_spent_to_nothing_is_believed() -> None:
    assert held(SCHWAB.holds(cash(100)), SCHWAB.holds(cash(0), version=2)).quarantine is None


def test_a_currency_that_is_no_longer_held_beside_positions_is_believed() -> None:
    before, after = [MANY[0], cash(1), cash(5, "CAD")], [MANY[0], cash(1)]
    assert held(SCHWAB.holds(*before), SCHWAB.holds(*after, version=2)).quarantine is None


def test_two_equal_empty_snapshots_that_come_before_the_full_one_do_not_erase_it() -> None:
    full = SCHWAB.holds(*MANY, version=1)
    empty = [SCHWAB.holds(version=version) for version in (2, 3)]
    assert {counted(held(*order)) for order in permutations([full, *empty])} == {20}
