"""How alike two provider accounts are: a score with its reasons, from what was stored of them."""

from decimal import Decimal
from itertools import pairwise

from consolidator.domain.values import Line
from contracts.accounts import AccountType
from contracts.struct import Record


class Evidence(Record, frozen=True, kw_only=True):
    """What is known of one provider account that can tell which real account it is."""

    account_id: str
    connection_id: str
    institution: str
    provider: str | None = None
    stable_id: str | None = None
    """The institution's own id of the account; each provider spells it in its own way."""
    mask: str | None = None
    type: AccountType | None = None
    total: Decimal | None = None
    currency: str | None = None
    lines: tuple[Line, ...] | None = None
    """``None`` when the account has no good snapshot."""


class Weights(Record, frozen=True, kw_only=True):
    """What each agreement or disagreement is worth; scores at or above ``same`` join, at or below ``different`` part.

    ``overlap`` is a curve: pairs of (overlap of the holdings, points), linear in between.
    """

    institution: Decimal = Decimal("0.25")
    mask_equal: Decimal = Decimal("0.35")
    mask_differs: Decimal = Decimal("-0.50")
    type_equal: Decimal = Decimal("0.05")
    type_differs: Decimal = Decimal("-0.30")
    total_close: Decimal = Decimal("0.10")
    total_far: Decimal = Decimal("-0.10")
    overlap: tuple[tuple[Decimal, Decimal], ...] = (
        (Decimal(0), Decimal("-0.60")),
        (Decimal("0.4"), Decimal("-0.40")),
        (Decimal("0.8"), Decimal("0.30")),
        (Decimal(1), Decimal("0.40")),
    )
    same: Decimal = Decimal("0.75")
    different: Decimal = Decimal("0.35")
    close: Decimal = Decimal("0.005")
    far: Decimal = Decimal("0.05")


class Score(Record, frozen=True, kw_only=True):
    """A score and what made it, each reason with its points."""

    value: Decimal
    reasons: tuple[str, ...]


def score(one: Evidence, other: Evidence, weights: Weights) -> Score:
    """Score two accounts of one institution; unknown features add nothing."""
    points = [("institution_equal", weights.institution)]
    points += _mask(one, other, weights) + _type(one, other, weights)
    points += _total(one, other, weights) + _overlap(one, other, weights)
    value = sum((worth for _, worth in points), Decimal(0))
    return Score(
        value=value.quantize(Decimal("0.0001")),
        reasons=tuple(f"{name}:{worth:+.3f}" for name, worth in points),
    )


Points = list[tuple[str, Decimal]]


def _mask(one: Evidence, other: Evidence, weights: Weights) -> Points:
    if not one.mask or not other.mask:
        return []
    length = min(len(one.mask), len(other.mask))
    if one.mask[-length:].upper() == other.mask[-length:].upper():
        return [("mask_equal", weights.mask_equal)]
    return [("mask_differs", weights.mask_differs)]


def _type(one: Evidence, other: Evidence, weights: Weights) -> Points:
    known = {one.type, other.type}
    if None in known or AccountType.OTHER in known:
        return []
    if len(known) == 1:
        return [("type_equal", weights.type_equal)]
    return [("type_differs", weights.type_differs)]


def _total(one: Evidence, other: Evidence, weights: Weights) -> Points:
    if one.total is None or other.total is None or one.currency != other.currency:
        return []
    larger = max(abs(one.total), abs(other.total))
    gap = abs(one.total - other.total)
    if gap <= larger * weights.close:
        return [("total_close", weights.total_close)] if larger else []
    return [("total_far", weights.total_far)] if gap > larger * weights.far else []


def _overlap(one: Evidence, other: Evidence, weights: Weights) -> Points:
    share = overlap(one.lines or (), other.lines or ())
    if share is None:
        return []
    return [(f"holdings_overlap={share:.2f}", _curve(weights.overlap, share))]


def overlap(one: tuple[Line, ...], other: tuple[Line, ...]) -> Decimal | None:
    """How much of two accounts' holdings is the same, 0 to 1; ``None`` when one holds nothing but cash.

    An instrument both hold counts 1 when the quantities agree to a thousandth, else a half.
    """
    mine, theirs = _quantities(one), _quantities(other)
    if not mine or not theirs:
        return None
    agreed = Decimal(0)
    for slot in mine.keys() & theirs.keys():
        gap = abs(mine[slot] - theirs[slot])
        close = gap * 1000 <= max(abs(mine[slot]), abs(theirs[slot]))
        agreed += Decimal(1) if close else Decimal("0.5")
    return agreed / len(mine.keys() | theirs.keys())


def _quantities(lines: tuple[Line, ...]) -> dict[tuple[str, str], Decimal]:
    return {
        (line.ref.figi or line.ref.key, line.currency): line.quantity
        for line in lines
        if line.ref.kind != "cash"
    }


def _curve(curve: tuple[tuple[Decimal, Decimal], ...], x: Decimal) -> Decimal:
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1]
