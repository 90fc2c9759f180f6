"""Which accounts are one: decisions, stable ids and scores, and who must stay apart."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consolidator.catalogue import Catalogue
from consolidator.domain.evidence import Evidence, Weights, overlap
from consolidator.domain.identity import Identity, Verdict, identify
from consolidator.domain.values import Decision, Line
from consolidator.handlers import _lines
from consolidator.testing import cash, stock
from contracts.accounts import AccountType
from contracts.holdings import Holding

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEIGHTS = Weights()


def lines(*holdings: Holding) -> tuple[Line, ...]:
    return _lines(list(holdings), Catalogue())


SAME = lines(stock("AAPL", 100), stock("VTI", 20), cash(5))
OTHER = lines(stock("BND", 7), stock("VXUS", 3))


def seen(name: str, connection: str, **more: object) -> Evidence:
    return Evidence(account_id=name, connection_id=connection, institution="fidelity", **more)


def groups(*accounts: Evidence, decisions: tuple[Decision, ...] = ()) -> list[set[str]]:
    found = identify(accounts, decisions, WEIGHTS)
    return [set(group.members) for group in found.groups]


def decided(verdict: str, one: str = "a", other: str = "b", day: int = 0) -> Decision:
    return Decision(accounts=(one, other), verdict=verdict, decided_at=NOW + timedelta(days=day))


def test_one_stable_id_at_one_institution_is_one_account() -> None:
    assert groups(seen("a", "1", stable_id="x"), seen("b", "2", stable_id="x", lines=OTHER)) == [{"a", "b"}]


def test_a_stable_id_means_nothing_across_institutions() -> None:
    elsewhere = Evidence(account_id="b", connection_id="2", institution="chase", stable_id="x")
    assert groups(seen("a", "1", stable_id="x"), elsewhere) == [{"a"}, {"b"}]


def test_two_accounts_of_one_connection_are_never_the_same() -> None:
    twins = [seen(name, "1", stable_id="x", mask="1234", lines=SAME) for name in "ab"]
    assert groups(*twins) == [{"a"}, {"b"}]
    assert groups(*twins, decisions=(decided("same"),)) == [{"a"}, {"b"}]


def test_two_accounts_of_one_connection_do_not_meet_through_a_third() -> None:
    found = groups(
        seen("a", "1", mask="1234", lines=SAME),
        seen("b", "1", mask="1234", lines=SAME),
        seen("c", "2", mask="1234", lines=SAME),
    )
    assert sorted(len(group) for group in found) == [1, 2]


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ({"mask": "1234", "lines": SAME}, {"mask": "1234", "lines": SAME}, Verdict.SAME),
        ({"mask": "1234", "lines": SAME}, {"mask": "34", "lines": SAME}, Verdict.SAME),
        ({"mask": "1234", "lines": SAME}, {"mask": "1234", "lines": OTHER}, Verdict.DIFFERENT),
        ({"mask": "1234", "lines": SAME}, {"mask": "9999", "lines": SAME}, Verdict.DIFFERENT),
        ({"lines": SAME}, {"lines": OTHER}, Verdict.DIFFERENT),
        ({"lines": SAME}, {"lines": SAME}, Verdict.NEEDS_DECISION),
        ({"mask": "1234"}, {"mask": "1234"}, Verdict.NEEDS_DECISION),
        ({}, {}, Verdict.DIFFERENT),
    ],
)
def test_scores_become_verdicts(one, other, verdict) -> None:
    found = identify([seen("a", "1", **one), seen("b", "2", **other)], (), WEIGHTS)
    assert found.links[0].verdict is verdict


def test_a_grey_pair_is_grouped_and_flagged_so_that_one_source_is_counted() -> None:
    found = identify([seen("a", "1", mask="1234"), seen("b", "2", mask="1234")], (), WEIGHTS)
    assert [(group.members, group.needs_decision) for group in found.groups] == [(("a", "b"), True)]


def test_a_decision_outranks_every_score_and_the_newest_holds() -> None:
    pair = [seen("a", "1", mask="1", lines=SAME), seen("b", "2", mask="1", lines=SAME)]
    assert groups(*pair, decisions=(decided("different"),)) == [{"a"}, {"b"}]
    assert groups(*pair, decisions=(decided("different"), decided("same", day=1))) == [{"a", "b"}]
    assert groups(*pair, decisions=(decided("same", day=1), decided("different"))) == [{"a", "b"}]


def test_accounts_decided_to_be_different_do_not_meet_through_a_third() -> None:
    trio = [seen(name, name, stable_id="x") for name in "abc"]
    found = groups(*trio, decisions=(decided("different"),))
    assert not any({"a", "b"} <= group for group in found)


def test_a_decision_joins_accounts_that_no_rule_would_compare() -> None:
    manual = Evidence(account_id="b", connection_id="2", institution="manual", lines=SAME)
    assert groups(seen("a", "1"), manual, decisions=(decided("same"),)) == [{"a", "b"}]


def test_other_types_and_totals_speak_against() -> None:
    one = seen("a", "1", type=AccountType.BROKERAGE, total=Decimal(100), currency="USD", mask="1")
    other = seen("b", "2", type=AccountType.RETIREMENT, total=Decimal(900), currency="USD", mask="1")
    assert groups(one, other) == [{"a"}, {"b"}]


def test_overlap_ignores_cash_and_halves_what_differs_in_quantity() -> None:
    assert overlap(lines(cash(1)), lines(cash(1))) is None
    assert overlap(lines(stock("A", 1), cash(3)), lines(stock("A", 1))) == 1
    assert overlap(lines(stock("A", 1)), lines(stock("A", 2))) == Decimal("0.5")
    assert overlap(lines(stock("A", 1)), lines(stock("B", 1))) == 0


def test_ids_of_real_accounts_do_not_depend_on_the_order() -> None:
    accounts = [seen(name, name, stable_id="x") for name in "abc"]
    found: set[Identity] = {identify(order, (), WEIGHTS) for order in permutations(accounts)}
    assert len(found) == 1


@given(
    st.lists(
        st.builds(
            seen,
            st.sampled_from("abcdefgh"),
            st.sampled_from("123"),
            mask=st.sampled_from([None, "1111", "2222"]),
            stable_id=st.sampled_from([None, None, "x", "y"]),
            lines=st.sampled_from([None, SAME, OTHER]),
        ),
        max_size=8,
        unique_by=lambda account: account.account_id,
    ),
    st.lists(
        st.builds(
            decided,
            st.sampled_from(["same", "different"]),
            st.sampled_from("abcd"),
            st.sampled_from("efgh"),
            st.integers(0, 3),
        ),
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_whatever_is_known_the_groups_keep_the_rules(accounts, decisions, rng) -> None:
    found = identify(accounts, decisions, WEIGHTS)
    shuffled, other_way = list(accounts), list(decisions)
    rng.shuffle(shuffled)
    rng.shuffle(other_way)
    assert identify(shuffled, other_way, WEIGHTS) == found
    connection = {account.account_id: account.connection_id for account in accounts}
    for group in found.groups:
        assert len({connection[member] for member in group.members}) == len(group.members)
    assert sorted(member for group in found.groups for member in group.members) == sorted(connection)


def test_two_stable_ids_of_one_provider_are_two_accounts_however_alike_they_are() -> None:
    alike = {"provider": "snaptrade", "mask": "1234", "type": AccountType.BROKERAGE, "lines": SAME}
    one, other = seen("a", "1", stable_id="x", **alike), seen("b", "2", stable_id="y", **alike)
    assert groups(one, other) == [{"a"}, {"b"}]


def test_two_stable_ids_of_one_provider_do_not_meet_through_a_third_account() -> None:
    alike = {"mask": "1234", "type": AccountType.BROKERAGE, "lines": SAME}
    accounts = [
        seen("a", "1", provider="snaptrade", stable_id="x", **alike),
        seen("b", "2", provider="snaptrade", stable_id="y", **alike),
        seen("c", "3", provider="plaid", **alike),
    ]
    for order in permutations(accounts):
        assert not any({"a", "b"} <= group for group in groups(*order))


def test_stable_ids_of_two_providers_are_not_comparable() -> None:
    alike = {"mask": "1234", "type": AccountType.BROKERAGE, "lines": SAME}
    one = seen("a", "1", provider="snaptrade", stable_id="x", **alike)
    assert groups(one, seen("b", "2", provider="plaid", stable_id="y", **alike)) == [{"a", "b"}]


def test_a_user_may_still_join_two_stable_ids() -> None:
    one = seen("a", "1", provider="snaptrade", stable_id="x")
    other = seen("b", "2", provider="snaptrade", stable_id="y")
    assert groups(one, other, decisions=(decided("same"),)) == [{"a", "b"}]
