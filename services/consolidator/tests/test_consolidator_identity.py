"""Which accounts are one: decisions, stable ids and scores, and who must stay apart."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consolidator.catalogue import Catalogue
from consolidator.domain.activity import activity, fingerprint, shared
from consolidator.domain.evidence import Evidence, score
from consolidator.domain.identity import Identity, Verdict, identify, latest
from consolidator.domain.overlap import Overlap, held, overlap
from consolidator.domain.values import Decision, Line
from consolidator.handlers import _lines
from consolidator.rules import DEFAULT_WEIGHTS as WEIGHTS
from consolidator.testing import cash, stock
from contracts.accounts import AccountType
from contracts.holdings import Holding

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lines(*holdings: Holding) -> tuple[Line, ...]:
    return _lines(list(holdings), Catalogue())


SAME = lines(stock("AAPL", 100), stock("VTI", 20), cash(5))
OTHER = lines(stock("BND", 7), stock("VXUS", 3))


def seen(account_id: str, connection: str, /, **more: object) -> Evidence:
    return Evidence(
        **{"account_id": account_id, "connection_id": connection, "institution": "fidelity"} | more
    )


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
        ({"mask": "1234", "lines": SAME}, {"mask": "34", "lines": SAME}, Verdict.NEEDS_DECISION),
        ({"mask": "**1234", "lines": SAME}, {"mask": "z91234", "lines": SAME}, Verdict.SAME),
        ({"mask": "XX12ab", "lines": SAME}, {"mask": "12AB", "lines": SAME}, Verdict.SAME),
        ({"mask": "1234", "lines": SAME}, {"mask": "1234", "lines": OTHER}, Verdict.DIFFERENT),
        ({"mask": "1234", "lines": SAME}, {"mask": "9999", "lines": SAME}, Verdict.DIFFERENT),
        ({"lines": SAME}, {"lines": OTHER}, Verdict.DIFFERENT),
        ({"lines": SAME}, {"lines": SAME}, Verdict.NEEDS_DECISION),
        ({"mask": "1234"}, {"mask": "1234"}, Verdict.NEEDS_DECISION),
        ({}, {}, Verdict.NEEDS_DECISION),
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
    money = {"currency": "USD", "mask": "1"}
    one = seen("a", "1", type=AccountType.DEPOSIT, total=Decimal(100), **money)
    other = seen("b", "2", type=AccountType.RETIREMENT, total=Decimal(900), **money)
    assert groups(one, other) == [{"a"}, {"b"}]


def overlapping(one: tuple[Line, ...], other: tuple[Line, ...]) -> Overlap:
    mine, theirs = held(one), held(other)
    assert mine is not None
    assert theirs is not None
    found = overlap(mine, theirs, WEIGHTS.holdings.quantity)
    assert overlap(theirs, mine, WEIGHTS.holdings.quantity) == found
    return found


def test_overlap_ignores_cash_and_halves_what_differs_in_quantity() -> None:
    assert held(lines(cash(1))) is None
    assert held(None) is None
    assert overlapping(lines(stock("A", 1), cash(3)), lines(stock("A", 1))).agreement == 1
    assert overlapping(lines(stock("A", 1)), lines(stock("A", 2))).agreement == Decimal("0.5")
    assert overlapping(lines(stock("A", 1)), lines(stock("B", 1))).agreement == 0
    assert overlapping(lines(stock("A", 1)), lines(stock("A", -1))).agreement == 0


def test_what_is_sold_short_by_as_much_is_not_the_same() -> None:
    assert overlapping(lines(stock("A", 5)), lines(stock("A", -5))).telling == 0


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("27.351", "27.351", True),
        ("27.351", "27.35", True),
        ("27.351", "27.36", True),  # within a thousandth
        ("0.0423", "0.04228417", True),
        ("0.042", "0.0438", False),
        ("12", "12.4", False),
        ("0.5", "0.54", False),  # one decimal is too few to be called rounded
        ("0.000000000000000001", "0.000000000000000002", False),
    ],
)
def test_a_rounded_quantity_is_the_same_quantity(one: str, other: str, equal: bool) -> None:
    assert (overlapping(lines(stock("A", one)), lines(stock("A", other))).telling > 0) is equal


def test_a_fraction_tells_more_than_a_round_lot() -> None:
    def told(quantity: str) -> Decimal:
        return overlapping(lines(stock("A", quantity)), lines(stock("A", quantity))).telling

    assert [told(one) for one in ("100", "20", "150", "137", "1250", "27.351", "1234.5678")] == [
        Decimal(one) for one in ("0.1", "0.1", "0.25", "0.5", "0.5", "1", "1")
    ]


def test_one_figi_is_one_instrument_whatever_it_is_called() -> None:
    one = lines(stock("AAPL", 5, figi="F1"), stock("B", 1))
    other = lines(stock("F1", 5, figi="F1"), stock("B", 1))
    assert overlapping(one, other).agreement == 1
    assert overlapping(one, lines(stock("AAPL", 5), stock("B", 1))).agreement == 1


def test_contained_is_a_part_of_the_other_in_equal_quantities() -> None:
    whole = lines(stock("A", 1), stock("B", 2), stock("C", 3))
    assert overlapping(whole, lines(stock("A", 1), stock("B", 2))).contained
    assert not overlapping(whole, lines(stock("A", 1), stock("B", 3))).contained
    assert not overlapping(whole, whole).contained


def traded(day: str, amount: str, quantity: str = "0") -> str:
    found = fingerprint(date.fromisoformat(day), Decimal(amount), Decimal(quantity))
    assert found is not None
    return found


def test_a_fingerprint_is_of_the_day_the_cash_and_the_quantity() -> None:
    assert traded("2026-01-05", "-10.5", "3") == traded("2026-01-05", "-10.50", "3.000")
    assert traded("2026-01-05", "-10.5", "3") == traded("2026-01-05", "-10.50", "-3")
    assert traded("2026-01-05", "-10.5") != traded("2026-01-05", "10.5")
    assert traded("2026-01-05", "-10.5") != traded("2026-01-06", "-10.5")
    assert traded("2026-01-05", "-10", "3").startswith("2026-01-05:")


def test_standing_orders_and_nothings_leave_no_fingerprint() -> None:
    day = date(2026, 1, 5)
    assert fingerprint(day, Decimal(500), None) is None
    assert fingerprint(day, Decimal("-500.00"), Decimal(0)) is None
    assert fingerprint(day, None, None) is None
    assert fingerprint(day, None, Decimal(4)) is not None


def share_of(one: list[str], other: list[str]) -> tuple[Decimal, int] | None:
    mine, theirs = activity(one), activity(other)
    assert mine is not None
    assert theirs is not None
    assert shared(mine, theirs, 4) == shared(theirs, mine, 4)
    return shared(mine, theirs, 4)


def test_only_the_time_that_both_cover_is_compared() -> None:
    old = [traded("2020-01-01", "1.11"), traded("2020-02-01", "2.22")]
    new = [traded("2026-01-01", "1.11"), traded("2026-02-02", "3.33"), traded("2026-03-01", "4.44")]
    assert share_of(old, new) is None
    assert share_of(old + new, new) == (1, 3)
    assert share_of(old + new, [*new, traded("2026-02-03", "9.99")]) == (1, 3)


def test_providers_may_date_one_transaction_days_apart_but_not_weeks() -> None:
    edges = [traded("2025-01-01", "0.01"), traded("2027-01-01", "0.02")]
    assert share_of([*edges, traded("2026-01-02", "1.11")], [*edges, traded("2026-01-06", "1.11")]) == (1, 3)
    found = share_of([*edges, traded("2026-01-02", "1.11")], [*edges, traded("2026-01-07", "1.11")])
    assert found == (Decimal(2) / 3, 3)


def test_each_transaction_has_one_partner_only() -> None:
    twice = [traded("2026-01-01", "1.11"), traded("2026-01-02", "1.11")]
    rest = [traded("2025-12-31", "5.55"), traded("2026-01-03", "6.66")]
    assert share_of([*rest, *twice], [*rest, twice[0], traded("2026-01-02", "7.77")]) == (Decimal(3) / 4, 4)


def test_an_age_makes_a_disagreement_count_less() -> None:
    one = seen("a", "1", mask="1234", lines=SAME, as_of=NOW)
    verdicts = [
        identify([one, seen("b", "2", mask="1234", lines=OTHER, as_of=NOW - age)], (), WEIGHTS)
        .links[0]
        .verdict
        for age in (timedelta(0), timedelta(hours=24), timedelta(days=2), timedelta(days=90))
    ]
    assert verdicts == [Verdict.DIFFERENT] * 2 + [Verdict.NEEDS_DECISION] * 2


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        ("Roth IRA", "investment/roth", True),
        ("Individual", "investment/brokerage", True),
        ("Joint WROS", "investment/brokerage", True),
        ("401(k)", "investment/401k", True),
        ("ROTH_IRA", "investment/roth", True),
        ("Roth IRA", "Traditional IRA", False),
        ("Roth IRA", "investment/roth 401k", False),
        ("Individual", "Joint", False),
        ("Individual", "Roth IRA", False),
        ("TFSA", "RRSP", False),
        ("HSA", "401k", False),
    ],
)
def test_words_for_the_type_speak_for_or_against(one: str, other: str, better: bool) -> None:
    plain = score(seen("a", "1"), seen("b", "2"), WEIGHTS).value
    worded = score(seen("a", "1", raw_type=one), seen("b", "2", raw_type=other), WEIGHTS).value
    assert (worded > plain) is better
    assert (worded < plain) is not better


def test_a_name_says_nothing_where_the_provider_knows_the_type() -> None:
    one = seen("a", "1", raw_type="Rollover IRA", name="Old 401k")
    other = seen("b", "2", raw_type="investment/ira", name="Roth of my dreams")
    named = score(one, other, WEIGHTS)
    assert named == score(seen("a", "1", raw_type="Rollover IRA"), other, WEIGHTS)
    assert not any("differs" in reason for reason in named.reasons)


def test_brokerage_without_words_may_be_anything() -> None:
    one = seen("a", "1", type=AccountType.BROKERAGE)
    other = seen("b", "2", type=AccountType.RETIREMENT, raw_type="investment/ira")
    assert score(one, other, WEIGHTS).value == WEIGHTS.institution


def test_ids_of_real_accounts_do_not_depend_on_the_order() -> None:
    accounts = [seen(name, name, stable_id="x") for name in "abc"]
    found: set[Identity] = {identify(order, (), WEIGHTS) for order in permutations(accounts)}
    assert len(found) == 1


RICH = lines(*(stock(f"R{number}", f"{number}1.2345") for number in range(1, 8)))
ACCOUNTS = st.lists(
    st.builds(
        seen,
        st.sampled_from("abcdefgh"),
        st.sampled_from("1234"),
        institution=st.sampled_from(["fidelity", "fidelity", "chase"]),
        provider=st.sampled_from(["snaptrade", "plaid"]),
        mask=st.sampled_from([None, "1111", "2222", "11"]),
        stable_id=st.sampled_from([None, None, "x", "y"]),
        raw_type=st.sampled_from([None, "Roth IRA", "Individual"]),
        total=st.sampled_from([None, Decimal("1000.5"), Decimal(990)]),
        currency=st.just("USD"),
        described=st.sampled_from([True, True, True, False]),
        lines=st.sampled_from([None, SAME, OTHER, RICH, RICH[:4], SAME + OTHER]),
        as_of=st.sampled_from([None, NOW, NOW - timedelta(days=4)]),
    ),
    max_size=8,
    unique_by=lambda account: account.account_id,
)
DECISIONS = st.lists(
    st.builds(
        decided,
        st.sampled_from(["same", "different", "undone"]),
        st.sampled_from("abcd"),
        st.sampled_from("efgh"),
        st.integers(0, 3),
    ),
    max_size=5,
)


@given(ACCOUNTS, DECISIONS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_whatever_is_known_the_groups_keep_the_rules(accounts, decisions, rng) -> None:
    found = identify(accounts, decisions, WEIGHTS)
    shuffled, other_way = list(accounts), list(decisions)
    rng.shuffle(shuffled)
    rng.shuffle(other_way)
    assert identify(shuffled, other_way, WEIGHTS) == found
    known = {account.account_id: account for account in accounts}
    group_of = {member: group for group in found.groups for member in group.members}
    assert sorted(member for group in found.groups for member in group.members) == sorted(known)
    for group in found.groups:
        assert len({known[member].connection_id for member in group.members}) == len(group.members)
        assert not group.waiting or len(group.members) == 1
    for pair, decision in latest(decisions).items():
        if decision.verdict == "different" and known.keys() >= set(pair):
            assert group_of[pair[0]] is not group_of[pair[1]]


@given(ACCOUNTS, DECISIONS)
@settings(deadline=None)
def test_a_stranger_regroups_nobody(accounts, decisions) -> None:
    stranger = seen("z", "9", institution="elsewhere", mask="1111", lines=SAME, stable_id="x")
    alone, joined = (
        identify(accounts, decisions, WEIGHTS),
        identify([*accounts, stranger], decisions, WEIGHTS),
    )
    assert [group for group in joined.groups if group.members != ("z",)] == list(alone.groups)
    assert joined.links == alone.links


def test_two_accounts_entered_by_hand_are_two_until_somebody_says_otherwise() -> None:
    typed = {"institution": "manual", "provider": "manual", "lines": SAME}
    pair = (seen("a", "1", **typed), seen("b", "2", **typed))
    assert groups(*pair) == [{"a"}, {"b"}]
    assert groups(*pair, decisions=(decided("same"),)) == [{"a", "b"}]


@given(ACCOUNTS, DECISIONS)
@settings(deadline=None)
def test_an_unlike_account_of_one_institution_regroups_nobody(accounts, decisions) -> None:
    unlike = seen(
        "z",
        "9",
        institution="fidelity",
        mask="7777",
        raw_type="529",
        lines=lines(stock("Q", "3.3")),
        as_of=NOW,
    )
    # Of an account that shows nothing by which to tell it, somebody must say which it is.
    described = [one for one in accounts if one.described and (one.mask or one.lines)]
    alone, joined = (
        identify(described, decisions, WEIGHTS),
        identify([*described, unlike], decisions, WEIGHTS),
    )
    assert [group for group in joined.groups if group.members != ("z",)] == list(alone.groups)


@given(ACCOUNTS, st.sampled_from(["same", "different"]))
@settings(deadline=None)
def test_one_decision_beats_every_score(accounts, verdict) -> None:
    names = sorted(account.account_id for account in accounts)
    for first, second in pairwise(names):
        one, other = (next(a for a in accounts if a.account_id == name) for name in (first, second))
        together = any(
            {first, second} <= group
            for group in groups(*accounts, decisions=(decided(verdict, first, second),))
        )
        assert together is (verdict == "same" and one.connection_id != other.connection_id)


@given(ACCOUNTS, DECISIONS)
@settings(deadline=None)
def test_what_is_undone_falls_back_to_the_score(accounts, decisions) -> None:
    pairs = {tuple(sorted(decision.accounts)) for decision in decisions}
    undone = [decided("undone", *pair, day=9) for pair in pairs]
    assert identify(accounts, [*decisions, *undone], WEIGHTS) == identify(accounts, (), WEIGHTS)


@given(ACCOUNTS)
@settings(deadline=None)
def test_other_account_numbers_are_never_the_same_by_score(accounts) -> None:
    number = {account.account_id: account.mask for account in accounts}
    for link in identify(accounts, (), WEIGHTS).links:
        if link.rule == "score" and link.verdict is Verdict.SAME:
            first, second = (number[account_id] for account_id in link.accounts)
            assert first is None or second is None or first[-2:] == second[-2:]


def test_of_two_decisions_at_one_moment_the_higher_id_holds() -> None:
    first = Decision(accounts=("b", "a"), verdict="same", decided_at=NOW, decision_id="1")
    second = Decision(accounts=("a", "b"), verdict="different", decided_at=NOW, decision_id="2")
    assert latest([second, first]) == latest([first, second]) == {("a", "b"): second}


def test_no_evidence_is_enough_against_another_number() -> None:
    """Were the difference itself worth nothing, the ceiling would still hold."""
    mask = msgspec.structs.replace(WEIGHTS.mask, differs=Decimal(0))
    lenient = msgspec.structs.replace(WEIGHTS, mask=mask)
    alike = {
        "lines": RICH,
        "total": Decimal("1000.5"),
        "currency": "USD",
        "raw_type": "Roth IRA",
        "name": "n",
    }
    one, other = seen("a", "1", mask="1111", **alike), seen("b", "2", mask="2222", **alike)
    found = score(one, other, lenient)
    assert found.value == lenient.mask.differs_ceiling < lenient.verdict.same
    assert found.reasons[-1].startswith("at_most_for:mask_differs:-")


def test_transactions_count_though_one_side_dates_them_by_settlement() -> None:
    def history(shift: int) -> tuple[str, ...]:
        days = [date(2026, 1, 5) + timedelta(days=7 * week + shift) for week in range(6)]
        return tuple(traded(day.isoformat(), f"-{place}.37", "1.5") for place, day in enumerate(days))

    plain = score(seen("a", "1"), seen("b", "2"), WEIGHTS).value
    shifted = score(seen("a", "1", fingerprints=history(0)), seen("b", "2", fingerprints=history(3)), WEIGHTS)
    late = score(seen("a", "1", fingerprints=history(0)), seen("b", "2", fingerprints=history(6)), WEIGHTS)
    assert shifted.value > plain > late.value


class TestNotDescribed:
    """An account that no list of accounts has named yet."""

    def test_it_waits_alone_while_it_could_be_another_one(self) -> None:
        new = seen("b", "2", described=False, lines=SAME)
        found = identify([seen("a", "1", mask="1", lines=SAME), new], (), WEIGHTS)
        assert [(one.members, one.waiting, one.needs_decision) for one in found.groups] == [
            (("a",), False, False),
            (("b",), True, False),
        ]
        assert not found.links

    def test_it_does_not_wait_where_it_can_only_be_itself(self) -> None:
        new = seen("b", "2", described=False, lines=SAME)
        sibling, elsewhere = seen("a", "2", lines=SAME), seen("c", "1", institution="chase", lines=SAME)
        assert not any(group.waiting for group in identify([sibling, elsewhere, new], (), WEIGHTS).groups)

    def test_of_two_of_them_the_first_is_counted(self) -> None:
        pair = [seen(name, name, described=False, lines=SAME) for name in "ab"]
        assert [group.waiting for group in identify(pair, (), WEIGHTS).groups] == [False, True]

    def test_what_somebody_said_is_enough(self) -> None:
        pair = [seen("a", "1", lines=OTHER), seen("b", "2", described=False, lines=SAME)]
        same = identify(pair, [decided("same")], WEIGHTS)
        assert [(one.members, one.waiting) for one in same.groups] == [(("a", "b"), False)]
        different = identify(pair, [decided("different")], WEIGHTS)
        assert [(one.members, one.waiting) for one in different.groups] == [(("a",), False), (("b",), False)]
        undone = identify(pair, [decided("same"), decided("undone", day=1)], WEIGHTS)
        assert [one.waiting for one in undone.groups] == [False, True]


class TestThreeSights:
    """What a third account does to two."""

    def test_a_grey_pair_joins_nobody_whose_scores_say_that_they_differ(self) -> None:
        one, other = seen("a", "1", mask="1111", lines=SAME), seen("c", "3", mask="2222", lines=SAME)
        found = identify([one, seen("b", "2", lines=SAME), other], (), WEIGHTS)
        assert sorted(len(group.members) for group in found.groups) == [1, 2]

    def test_decisions_and_stable_ids_join_whatever_scores_say(self) -> None:
        one = seen("a", "1", mask="1234", raw_type="Individual", lines=SAME)
        between = seen("b", "2", mask="1234", stable_id="x", lines=SAME)
        other = seen("c", "3", mask="9999", stable_id="x", raw_type="Roth IRA", lines=OTHER)
        found = identify([one, between, other], [decided("same")], WEIGHTS)
        assert [(group.members, group.needs_decision) for group in found.groups] == [(("a", "b", "c"), False)]
        assert [link.verdict for link in found.links if link.accounts == ("a", "c")] == [Verdict.DIFFERENT]

    def test_scores_that_contradict_each_other_are_shown_for_decision(self) -> None:
        one, other = seen("a", "1", mask="7712", lines=RICH), seen("c", "3", mask="3412", lines=RICH)
        assert groups(one, other) == [{"a"}, {"c"}]
        for order in permutations([one, seen("b", "2", mask="12", lines=RICH), other]):
            found = identify(order, (), WEIGHTS)
            assert [(group.members, group.needs_decision) for group in found.groups] == [
                (("a", "b", "c"), True)
            ]
            verdicts = {link.accounts: (link.verdict, link.reasons[-1]) for link in found.links}
            assert verdicts["a", "b"][0] is verdicts["b", "c"][0] is Verdict.SAME
            assert verdicts["a", "c"] == (Verdict.NEEDS_DECISION, "joined_through_another")

    def test_what_is_surely_another_account_is_not_asked_about(self) -> None:
        number = {"mask": "1111"}
        first, second = seen("a", "1", lines=SAME, **number), seen("b", "1", lines=SAME)
        other = seen("c", "2", lines=SAME, **number)
        found = identify([first, second, other], (), WEIGHTS)
        verdicts = {link.accounts: (link.verdict, link.reasons[-1]) for link in found.links}
        assert verdicts["a", "c"][0] is Verdict.SAME
        assert verdicts["b", "c"] == (Verdict.DIFFERENT, "belongs_elsewhere")
        assert [group.needs_decision for group in found.groups] == [False, False]


def test_forty_accounts_at_one_institution_are_told_apart() -> None:
    def account(number: int, connection: str) -> Evidence:
        own = lines(*(stock(f"S{number}-{place}", f"{place + 1}.337") for place in range(20)))
        return seen(f"{number:02}{connection}", connection, mask=f"{number:04}", lines=own)

    found = groups(*(account(number, connection) for number in range(20) for connection in "ab"))
    assert found == [{f"{number:02}a", f"{number:02}b"} for number in range(20)]


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
