"""What each agreement or disagreement of two accounts is worth: data, read from a reviewed file."""

import tomllib
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec

from contracts.struct import Record

Curve = tuple[tuple[Decimal, Decimal], ...]
"""Points (x, y) by rising x: linear in between, level outside."""


class WeightsError(ValueError):
    """The weights cannot be used; the text says what is wrong and where."""


class VerdictWeights(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scores at or above ``same`` join, at or below ``different`` part, between them somebody must decide."""

    same: Decimal
    different: Decimal


class MaskWeights(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last characters of the account number.

    ``equal`` is by the number of characters that could be compared. No other evidence lifts a score above
    ``differs_ceiling`` where they differ, nor above ``unknown_ceiling`` where one is missing and the holdings
    are not at least ``unknown_rich``.
    """

    equal: Curve
    differs: Decimal
    differs_ceiling: Decimal
    unknown_ceiling: Decimal
    unknown_rich: Decimal


class TypeWeights(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The family of the account, its kind within the family, whose it is, and what it is called."""

    family_equal: Decimal
    family_differs: Decimal
    kind_equal: Decimal
    kind_differs: Decimal
    owner_equal: Decimal
    owner_differs: Decimal
    name_equal: Decimal


class TotalWeights(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The providers' own totals: ``gap`` is by the difference relative to the larger.

    ``equal`` comes on top where an amount that is not round agrees to the cent.
    """

    gap: Curve
    equal: Decimal


class HoldingsWeights(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the accounts hold.

    ``quantity`` is how far an instrument of both agrees, by the relative difference of its quantities; the
    agreement of the accounts is its mean over all instruments. ``support`` is by how telling the equal
    quantities are, and counts in the measure of the agreement. ``conflict`` is by the agreement.

    A conflict shrinks where one account is contained in the other: by up to ``contained``, fully so from
    ``contained_rich`` telling quantities on or where the totals are at most ``total_gap`` apart. Otherwise
    ``moved`` is what is left of it where the totals are: the same money may have moved into other things.
    """

    quantity: Curve
    support: Curve
    conflict: Curve
    contained: Decimal
    contained_rich: Decimal
    total_gap: Decimal
    moved: Decimal


class ActivityWeights(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Transactions of the time both accounts cover.

    ``shared`` is by the share of them seen on both sides, from ``enough`` on each side on; two providers may
    date one transaction up to ``days`` apart.
    """

    shared: Curve
    enough: int
    days: int


class Weights(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All weights; ``age`` is what holdings and totals that disagree still count, by the hours between them."""

    institution: Decimal
    verdict: VerdictWeights
    mask: MaskWeights
    type: TypeWeights
    total: TotalWeights
    holdings: HoldingsWeights
    activity: ActivityWeights
    age: Curve


def at(curve: Curve, x: Decimal) -> Decimal:
    """The height of a curve at ``x``."""
    if x <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1]


def read_weights(text: str) -> Weights:
    """Read weights from TOML; numbers are taken exactly as they are written.

    Raises:
        WeightsError: not TOML, a member unknown, missing or of the wrong kind, a curve that does not rise, or
            thresholds in the wrong order.
    """
    try:
        found = msgspec.convert(tomllib.loads(text, parse_float=Decimal), Weights)
    except tomllib.TOMLDecodeError as error:
        raise WeightsError(f"not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise WeightsError(str(error).replace("`$.", "`").replace("`$`", "the top")) from error
    _check_members(found, "")
    if found.verdict.different >= found.verdict.same:
        raise WeightsError("verdict.different must be below verdict.same")
    if found.activity.enough < 1 or found.activity.days < 0:
        raise WeightsError("activity.enough must be at least 1 and activity.days at least 0")
    return found


def _check_members(record: Record, path: str) -> None:
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, Record):
            _check_members(value, f"{path}{name}.")
        elif not all(number.is_finite() for number in _numbers(value)):
            raise WeightsError(f"{path}{name} must be finite")
        elif isinstance(value, tuple):
            _check_curve(value, f"{path}{name}")


def _check_curve(curve: Curve, name: str) -> None:
    if not curve or any(x1 <= x0 for (x0, _), (x1, _) in pairwise(curve)):
        raise WeightsError(f"{name} must be points [x, y] by rising x, at least one")


def _numbers(value: Any) -> list[Decimal]:
    if isinstance(value, tuple):
        return [number for point in value for number in point]
    return [value] if isinstance(value, Decimal) else []
