"""How far two accounts hold the same things, and how telling that is."""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from consolidator.domain.values import Line
from consolidator.domain.weights import Curve, at

CASH_KINDS = frozenset({"cash", "money_market"})
_PLACES = 18
"""Quantities are compared as whole numbers of their smallest stored unit, which is exact and fast."""
_TELLING = (100, 100, 250, 500, 750, 1000)
"""How telling an equal quantity is, in thousandths, by its significant digits."""
_THOUSAND = 1000
_FEWEST_DECIMALS = 2
"""A number with at least so many decimals may be the other one, rounded."""
_ROUNDED = 10 ** (_PLACES - _FEWEST_DECIMALS)


class Held(NamedTuple):
    """What an account holds besides cash: quantities by instrument key, how telling each is, and keys by FIGI.

    Currencies are left out: two providers may value one thing in two.
    """

    quantities: dict[str, int]
    telling: dict[str, int]
    by_figi: dict[str, str]


class Overlap(NamedTuple):
    """``agreement`` is 0 to 1 over all instruments; ``telling`` adds up over the equal ones, each at most 1.

    ``contained``: everything the smaller account holds is in the larger in the same quantity, but not the
    other way round, as while a provider is still reading an account.
    """

    agreement: Decimal
    telling: Decimal
    contained: bool


def held(lines: Iterable[Line] | None) -> Held | None:
    """The holdings of an account; ``None`` where they are unknown or nothing but cash."""
    quantities: dict[str, int] = {}
    by_figi: dict[str, str] = {}
    for line in lines or ():
        if line.cash_equivalent or line.ref.kind in CASH_KINDS or not line.quantity:
            continue
        key = line.ref.key
        quantities[key] = quantities.get(key, 0) + int(line.quantity.scaleb(_PLACES))
        if line.ref.figi:
            by_figi[line.ref.figi] = key
    if not quantities:
        return None
    telling = {key: _TELLING[min(_digits(number), 5)] for key, number in quantities.items()}
    return Held(quantities, telling, by_figi)


def overlap(one: Held, other: Held, quantity: Curve) -> Overlap:
    """Compare two accounts' holdings; ``quantity`` says how far two quantities of one instrument agree."""
    if one.quantities == other.quantities:
        return Overlap(Decimal(1), Decimal(sum(one.telling.values())) / _THOUSAND, contained=False)
    pairs = _common(one, other)
    agrees = _agreements(quantity)
    agreed, telling, equal = 0, 0, 0
    for here, there in pairs:
        mine, theirs = one.quantities[here], other.quantities[there]
        apart = 0 if mine == theirs else _apart(mine, theirs)
        if apart:
            agreed += agrees[apart]
        else:
            agreed += _THOUSAND
            telling += min(one.telling[here], other.telling[there])
            equal += 1
    union = len(one.quantities) + len(other.quantities) - len(pairs)
    return Overlap(
        agreement=Decimal(agreed) / (union * _THOUSAND),
        telling=Decimal(telling) / _THOUSAND,
        contained=equal == min(len(one.quantities), len(other.quantities)) < union,
    )


def _common(one: Held, other: Held) -> list[tuple[str, str]]:
    """What both hold, matched by key, then by FIGI."""
    shared = one.quantities.keys() & other.quantities.keys()
    pairs = [(key, key) for key in shared]
    for figi in one.by_figi.keys() & other.by_figi.keys():
        here, there = one.by_figi[figi], other.by_figi[figi]
        if here not in shared and there not in shared:
            pairs.append((here, there))
    return pairs


def _apart(mine: int, theirs: int) -> int:
    """How far two quantities are apart in thousandths of the larger; 0 for one that is the other rounded."""
    gap = abs(mine - theirs)
    if gap < _ROUNDED:
        decimals = min(_decimals(mine), _decimals(theirs))
        if decimals >= _FEWEST_DECIMALS and gap < 10 ** (_PLACES - decimals):
            return 0
    return gap * _THOUSAND // max(abs(mine), abs(theirs))


@lru_cache(16)
def _agreements(quantity: Curve) -> tuple[int, ...]:
    """The curve as thousandths by thousandths: of two numbers of opposite sign the difference is up to twofold."""
    return tuple([round(at(quantity, Decimal(apart) / _THOUSAND) * _THOUSAND) for apart in range(2001)])


def _digits(number: int) -> int:
    """How many digits a number has between its first and last that are not zero."""
    return len(str(abs(number)).rstrip("0"))


def _decimals(number: int) -> int:
    text = str(abs(number))
    return max(0, _PLACES - (len(text) - len(text.rstrip("0"))))
