"""One form for every number, so that equal values are equal bytes whatever road they came by."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal

EXACT = Context(prec=76, rounding=ROUND_HALF_EVEN)
"""Wide enough that no sum of storable numbers is ever rounded."""
ZERO = Decimal(0)


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros, positive exponent or negative zero: equal numbers have one form.

    ``100.00``, ``1E+2`` and ``100`` all become ``100``; PostgreSQL's ``trim_scale`` gives the same form.
    """
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    elif "." not in text:
        return value if text != "-0" else ZERO
    if "." in text:
        if text[-1] != "0":
            return value
        text = text.rstrip("0").rstrip(".")
    return ZERO if text in {"-0", ""} else Decimal(text)


def plain_or_none(value: Decimal | None) -> Decimal | None:
    """``plain`` for a number that may be unknown."""
    return None if value is None else plain(value)


def total(values: Iterable[Decimal]) -> Decimal:
    """The exact sum, in plain form."""
    result = ZERO
    for value in values:
        result = EXACT.add(result, value)
    return plain(result)
