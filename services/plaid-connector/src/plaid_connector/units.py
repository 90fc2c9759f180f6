"""What Plaid's figures count: pence, shares of options, units of bonds. Pure.

Plaid documents options as counted in shares and leaves the unit of a bond open; institutions differ. Where the
documented reading is impossible the holding's own figures decide, because ``institution_value`` is the institution's:
nothing here ever changes a value.
"""

from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

ONE = Decimal(1)
HUNDRED = Decimal(100)
_MINOR = {"GBX": "GBP", "GBPX": "GBP", "ILA": "ILS", "ZAC": "ZAR"}
_MINOR_CASED = {"GBp": "GBP", "ZAc": "ZAR", "ILa": "ILS"}
"""Only the case tells "GBp" (pence) and "GBP" (pounds) apart."""

FACE_PRICE_MAX = Decimal(2)
"""No bond costs more than twice its face: a higher price is per 100 of face, or per bond."""
_SAME = Decimal("0.1")
"""Accrued interest may be in the value and not in the price; ten percent is far from a factor of ten."""


class Currency(NamedTuple):
    """A currency and what a figure in it must be divided by: pence count as pounds."""

    code: str
    divisor: Decimal


@lru_cache(maxsize=256)
def currency(iso: str | None, unofficial: str | None) -> Currency:
    """The ISO code, else the unofficial one; hundredths stand for their whole. Neither: US dollars."""
    given = iso or unofficial or "USD"
    code = given.upper()
    whole = _MINOR_CASED.get(given) or _MINOR.get(code)
    return Currency(whole, HUNDRED) if whole else Currency(code, ONE)


class Count(NamedTuple):
    """A quantity in our units, and the price of one share or of one of face; None where that is unknown."""

    quantity: Decimal
    price: Decimal | None


def contracts(
    count: Decimal, price: Decimal | None, value: Decimal | None, size: Decimal, root: str
) -> Count:
    """A position in an option, counted in contracts of ``size`` shares; ``root`` is that of its OCC symbol.

    Documented: ``count`` is in shares and ``price`` is per share. It is in contracts where the value says so (it is
    ``size`` times price by count), or where it is no whole number of contracts: those come in ones, unless the option
    was adjusted, which a digit at the end of its root tells.
    """
    product = None if price is None else abs(price * count)
    if product and value is not None and abs(value) * 2 > product * size:
        return Count(count, price)
    if count % size == 0 or root[-1:].isdigit():
        return Count(count / size, price)
    return Count(count, None if price is None else price / size)


def face(count: Decimal, price: Decimal | None, value: Decimal | None, face_value: Decimal | None) -> Count:
    """A position in a bond, counted in its face amount and priced per one of it.

    ``count`` may be the face amount or a number of bonds of ``face_value`` each, and ``price`` be per one of face, per
    100 of it as traders quote, or per bond. The value decides; a price it cannot explain is unknown.
    """
    if not count or value is None:
        return Count(count, price if price is not None and price <= FACE_PRICE_MAX else None)
    worth = abs(value / count)
    bond = ONE
    if worth > FACE_PRICE_MAX and face_value and worth / face_value <= FACE_PRICE_MAX:
        bond = face_value
    worth /= bond
    readings = () if price is None else (price, price / HUNDRED, price / bond)
    fitting = [one for one in readings if abs(one - worth) <= worth * _SAME]
    return Count(count * bond, min(fitting, key=lambda one: abs(one - worth)) if fitting else None)
