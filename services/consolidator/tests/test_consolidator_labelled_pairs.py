"""Labelled pairs of accounts: how well the weights tell them apart, and that nothing small makes two into one."""

import random
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from consolidator.domain.identity import Verdict, identify
from consolidator.labelled import (
    LabelledAccount,
    LabelledPair,
    evidence_of,
    judged,
    measure,
    read_pairs,
    report,
)
from consolidator.rules import DEFAULT_WEIGHTS as WEIGHTS

TEXT = (Path(__file__).parent / "labelled_pairs.toml").read_text(encoding="utf-8")
PAIRS = read_pairs(TEXT)
FEWEST = {"same": 40, "different": 30, "grey": 12}
RECALL = Decimal("0.75")
"""The rest are accounts whose number is missing, that lag behind, or that are only partly read."""
NEEDS_DECISION = Decimal("0.3")
"""Of a set that is hard on purpose: every seventh pair is one that nobody could tell."""
replace = msgspec.structs.replace
Change = Callable[[LabelledAccount, random.Random], LabelledAccount]


def without_mask(account: LabelledAccount, _rng: random.Random) -> LabelledAccount:
    return replace(account, mask=None)


def without_words(account: LabelledAccount, _rng: random.Random) -> LabelledAccount:
    return replace(account, raw_type=None, name=None)


def without_transactions(account: LabelledAccount, _rng: random.Random) -> LabelledAccount:
    return replace(account, transactions=())


def renamed(account: LabelledAccount, _rng: random.Random) -> LabelledAccount:
    return replace(account, name="Rainy day")


def repriced(account: LabelledAccount, rng: random.Random) -> LabelledAccount:
    """The total moves by up to 0.2 percent."""
    if account.total is None:
        return account
    moved = account.total * (1 + Decimal(rng.randint(-200, 200)) / 100_000)
    return replace(account, total=round(moved, 2))


def one_holding_less(account: LabelledAccount, rng: random.Random) -> LabelledAccount:
    """One of at least four holdings is gone, from the total as well if it were priced."""
    if not account.holdings or len(account.holdings) < 4:
        return account
    gone = rng.choice(sorted(account.holdings))
    return replace(account, holdings={key: held for key, held in account.holdings.items() if key != gone})


def reinvested(account: LabelledAccount, rng: random.Random) -> LabelledAccount:
    """A dividend of up to half a percent bought more of one holding."""
    if not account.holdings:
        return account
    grown = rng.choice(sorted(account.holdings))
    factor = 1 + Decimal(rng.randint(1, 500)) / 100_000
    more = {key: round(held * factor, 6) if key == grown else held for key, held in account.holdings.items()}
    return replace(account, holdings=more)


HARMLESS: tuple[Change, ...] = (repriced, renamed, without_transactions)
CHANGES: tuple[Change, ...] = (*HARMLESS, without_mask, without_words, one_holding_less, reinvested)


def changed(pair: LabelledPair, changes: tuple[Change, ...], rng: random.Random) -> LabelledPair:
    """The pair after some changes to one or both of its accounts."""
    for change in rng.sample(changes, rng.randint(1, len(changes))):
        side = rng.choice(("one", "other"))
        pair = replace(pair, **{side: change(getattr(pair, side), rng)})
    return pair


def of(label: str) -> list[LabelledPair]:
    return [pair for pair in PAIRS if pair.label == label]


def test_the_set_is_large_enough_to_mean_something() -> None:
    assert len(PAIRS) >= 60
    assert {label: len(of(label)) >= fewest for label, fewest in FEWEST.items()} == dict.fromkeys(
        FEWEST, True
    )


def test_no_two_accounts_are_taken_for_one_and_no_account_for_two(capsys: pytest.CaptureFixture[str]) -> None:
    found = measure(PAIRS, WEIGHTS)
    with capsys.disabled():
        sys.stdout.write(f"\n{report(found)}\n")
    assert not found.wrong_same
    assert not found.wrong_different
    assert found.precision == 1
    assert found.recall >= RECALL
    assert found.needs_decision_share <= NEEDS_DECISION


def test_what_nobody_could_tell_is_left_to_somebody() -> None:
    assert {pair.id: judged(pair, WEIGHTS) for pair in of("grey")} == dict.fromkeys(
        [pair.id for pair in of("grey")], "needs_decision"
    )


def test_accounts_that_are_two_are_told_apart_without_asking() -> None:
    asked = [pair.id for pair in of("different") if judged(pair, WEIGHTS) == "needs_decision"]
    assert len(asked) * 20 <= len(of("different"))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_either_account_may_come_first(pair: LabelledPair) -> None:
    one, other = evidence_of(pair.one, "one"), evidence_of(pair.other, "other")
    swapped = evidence_of(pair.other, "one"), evidence_of(pair.one, "other")
    [first] = identify([one, other], (), WEIGHTS).links
    [second] = identify(swapped, (), WEIGHTS).links
    assert (first.verdict, first.score, set(first.reasons)) == (
        second.verdict,
        second.score,
        set(second.reasons),
    )


@pytest.mark.parametrize("pair", of("different"), ids=lambda pair: pair.id)
def test_nothing_small_makes_two_accounts_into_one(pair: LabelledPair) -> None:
    rng = random.Random(pair.id)
    for _ in range(60):
        variant = changed(pair, CHANGES, rng)
        assert judged(variant, WEIGHTS) != Verdict.SAME, variant


@pytest.mark.parametrize("pair", of("grey"), ids=lambda pair: pair.id)
def test_nothing_small_makes_sure_what_nobody_could_tell(pair: LabelledPair) -> None:
    """What contradicts the rest, such as a number or a type, stays; without it there is less doubt."""
    rng = random.Random(pair.id)
    for _ in range(60):
        variant = changed(pair, (*HARMLESS, one_holding_less, reinvested), rng)
        assert judged(variant, WEIGHTS) != Verdict.SAME, variant


@pytest.mark.parametrize("pair", of("same"), ids=lambda pair: pair.id)
def test_nothing_harmless_makes_one_account_into_two(pair: LabelledPair) -> None:
    rng = random.Random(pair.id)
    for _ in range(30):
        variant = changed(pair, (*HARMLESS, reinvested), rng)
        assert judged(variant, WEIGHTS) != Verdict.DIFFERENT, variant


def test_each_feature_alone_changes_some_verdict_or_score() -> None:
    """A weight that changes nothing on the whole set would be measured by nothing."""
    before = scores()
    for feature in ("institution", "mask", "type", "total", "holdings", "activity", "age"):
        assert scores(flattened(feature)) != before, feature


def scores(weights=WEIGHTS) -> list[Decimal]:
    pairs = [[evidence_of(pair.one, "one"), evidence_of(pair.other, "other")] for pair in PAIRS]
    return [identify(pair, (), weights).links[0].score for pair in pairs]


def flattened(feature: str):
    """The weights with one feature worth nothing."""
    zero = Decimal(0)

    def flat(value: object) -> object:
        if isinstance(value, tuple):
            return tuple((x, zero) for x, _ in value)
        return zero if isinstance(value, Decimal) else value

    value = getattr(WEIGHTS, feature)
    if isinstance(value, msgspec.Struct):
        kept = {"differs_ceiling", "unknown_ceiling", "unknown_rich", "contained_rich", "total_gap"}
        worth = {name: getattr(value, name) for name in value.__struct_fields__}
        nothing = replace(value, **{name: one if name in kept else flat(one) for name, one in worth.items()})
    else:
        nothing = flat(value)
    return replace(WEIGHTS, **{feature: nothing})


def test_the_file_of_pairs_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="luck"):
        read_pairs(TEXT.replace('label = "same"', 'label = "same"\nluck = 1', 1))
    with pytest.raises(ValueError, match="label"):
        read_pairs(TEXT.replace('label = "same"', 'label = "alike"', 1))
    with pytest.raises(ValueError, match="schwab-individual-all-known"):
        read_pairs(TEXT + '\n[[pair]]\nid = "schwab-individual-all-known"\nlabel = "grey"\nabout = ""\n'
                   'one = { provider = "p" }\nother = { provider = "q" }\n')  # fmt: skip
