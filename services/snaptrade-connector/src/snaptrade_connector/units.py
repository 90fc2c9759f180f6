"""Numbers, currencies and times as SnapTrade writes them. Pure."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from contracts.money import InexactNumberError, quantity

MINOR_UNITS: dict[str, str] = {
    "GBX": "GBP",
    "GBp": "GBP",
    "GBx": "GBP",
    "ZAc": "ZAR",
    "ZAC": "ZAR",
    "ILA": "ILS",
    "ILa": "ILS",
}
"""Prices in hundredths: pence, cents and agorot are quoted under codes of their own."""

WHOLE_CURRENCIES = frozenset(
    {"USD", "CAD", "EUR", "GBP", "AUD", "CHF", "JPY", "HKD", "SGD", "MXN", "BRL", "INR"}
)
"""Codes that need no second look: already ISO 4217 and not hundredths."""

HUNDREDTH = Decimal("0.01")
NO_CURRENCY = "XXX"
"""ISO 4217 for "no currency": an account whose currency the provider has not said yet."""


def currency_code(code: str) -> str:
    """The ISO 4217 code of what a code stands for; hundredths stand for their whole."""
    return MINOR_UNITS.get(code) or code.upper()


def moment(text: str | None) -> datetime | None:
    """A time in UTC from ``Z``, an offset, or a blank in place of ``T``; without a zone it is UTC."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def day(text: str | None) -> date | None:
    """A day from a date, or from the date part of a time."""
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None


SHORT_PAIR = 13
"""Two numbers that together are no longer than this in plain writing have a product within ``amount``'s rules.

At least three of the characters are no decimal place (one digit of one, a digit and the point of the other), so
the product has at most ten places; and it has at most thirteen digits in front of them.
"""


@lru_cache(maxsize=65_536)
def number(text: str | None) -> tuple[Decimal | None, int]:
    """A quantity or unit price from its text, and how long it is in plain writing; None stays None.

    Remembered: quantities and costs rarely change between two syncs.

    Raises:
        InexactNumberError: it is no finite number, or too large to keep.
    """
    if text is None:
        return None, 0
    try:
        value = quantity(Decimal(text))
    except InvalidOperation as error:
        raise InexactNumberError("not a decimal number") from error
    return value, len(format(value, "f"))
