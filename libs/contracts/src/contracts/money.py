"""Exact numbers: what may be a quantity or an amount, and how amounts are rounded."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from contracts.struct import Record

AMOUNT_PLACES = 10
"""Decimal places of an amount of money (``numeric(28,10)``)."""
QUANTITY_PLACES = 18
"""Decimal places of a quantity or a unit price (``numeric(38,18)``)."""
_AMOUNT_STEP = Decimal(1).scaleb(-AMOUNT_PLACES)
_QUANTITY_STEP = Decimal(1).scaleb(-QUANTITY_PLACES)
_WIDE = Context(prec=76, rounding=ROUND_HALF_EVEN)
_AMOUNT_DIGITS = 18
_QUANTITY_DIGITS = 20


class InexactNumberError(ValueError):
    """A number that cannot be a quantity or an amount: NaN, infinite, too large or too finely divided."""


class Money(Record):
    """An amount in one currency (ISO 4217, or a provider's unofficial code for crypto)."""

    amount: Decimal
    currency: str


def amount(value: Decimal) -> Decimal:
    """Round an amount of money to ten places, half to even.

    Raises:
        InexactNumberError: the value is NaN, infinite or at least 10^18.
    """
    if not value.is_finite() or (value and value.adjusted() >= _AMOUNT_DIGITS):
        raise InexactNumberError("an amount of money must be finite and below 10^18")
    if value.as_tuple().exponent < -AMOUNT_PLACES:  # type: ignore[operator]  # finite: never 'n' or 'F'
        return value.quantize(_AMOUNT_STEP, context=_WIDE)
    return value


def quantity(value: Decimal) -> Decimal:
    """Round a quantity or a unit price to eighteen places, half to even.

    Raises:
        InexactNumberError: the value is NaN, infinite or at least 10^20.
    """
    if not value.is_finite() or (value and value.adjusted() >= _QUANTITY_DIGITS):
        raise InexactNumberError("a quantity must be finite and below 10^20")
    if value.as_tuple().exponent < -QUANTITY_PLACES:  # type: ignore[operator]  # finite: never 'n' or 'F'
        return value.quantize(_QUANTITY_STEP, context=_WIDE)
    return value


def product(*factors: Decimal) -> Decimal:
    """Multiply exactly (to 76 digits) and round the result as an amount of money."""
    result = factors[0]
    for factor in factors[1:]:
        result = _WIDE.multiply(result, factor)
    return amount(result)
