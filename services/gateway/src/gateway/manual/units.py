"""Currencies and exact numbers of entries: hundredths become wholes, nothing is rounded away silently. Pure."""

import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import NamedTuple

from contracts.money import amount, quantity
from gateway.manual.entries import EntryError

MINOR_UNITS = {
    "GBX": "GBP",
    "GBp": "GBP",
    "GBx": "GBP",
    "ZAc": "ZAR",
    "ZAC": "ZAR",
    "ILA": "ILS",
    "ILa": "ILS",
}
"""Prices in hundredths are quoted under codes of their own; only the case tells ``GBp`` from ``GBP``."""
ONE, HUNDRED = Decimal(1), Decimal(100)
LARGEST_QUANTITY, LARGEST_AMOUNT = Decimal(10) ** 17, Decimal(10) ** 14
"""Figures stay below these, so that no sum over all holdings or accounts a user may have outgrows its column."""
_CODE = re.compile(r"[A-Z][A-Z0-9]{2,4}")
_ROOM = {
    LARGEST_QUANTITY: "at most 17 digits before and 18 after the decimal point",
    LARGEST_AMOUNT: "at most 14 digits before and 10 after the decimal point",
}
_divide = Context(prec=80).divide


class Unit(NamedTuple):
    """A currency, and what a figure in the code as entered must be divided by."""

    code: str
    divisor: Decimal


def unit(text: str, field: str = "currency") -> Unit:
    """The currency an entered code stands for; pence are pounds divided by 100.

    Raises:
        EntryError: it cannot be a currency.
    """
    given = text.strip()
    if whole := MINOR_UNITS.get(given):
        return Unit(whole, HUNDRED)
    code = given.upper()
    # Some other letters have an ASCII letter as their upper case.
    if not given.isascii() or not _CODE.fullmatch(code):
        raise EntryError(field, "bad_currency", "A currency is a code of three to five letters, such as USD.")
    return Unit(MINOR_UNITS[code], HUNDRED) if code in MINOR_UNITS else Unit(code, ONE)


def exact_quantity(field: str, value: Decimal) -> Decimal:
    """A quantity or unit price as it can be stored.

    Raises:
        EntryError: it is too large or too finely divided to be kept exactly.
    """
    return _exact(field, value, quantity, LARGEST_QUANTITY)


def exact_amount(field: str, value: Decimal) -> Decimal:
    """An amount of money as it can be stored.

    Raises:
        EntryError: it is too large or too finely divided to be kept exactly.
    """
    return _exact(field, value, amount, LARGEST_AMOUNT)


def whole_units(value: Decimal, divisor: Decimal) -> Decimal:
    """A figure in hundredths as a figure in whole units of the currency, exactly."""
    return value if divisor == ONE else _divide(value, divisor)


def _exact(field: str, value: Decimal, rule: Callable[[Decimal], Decimal], limit: Decimal) -> Decimal:
    if not value.is_finite() or value.copy_abs() >= limit:
        raise EntryError(field, "out_of_range", f"Too large: {_ROOM[limit]}.")
    kept = rule(value)
    if kept != value:
        raise EntryError(field, "too_fine", f"Too many decimals: {_ROOM[limit]}.")
    return kept or Decimal(0)
