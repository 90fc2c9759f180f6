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
_multiply = _WIDE.multiply
_AMOUNT_DIGITS = 18
_QUANTITY_DIGITS = 20
_SHORT = AMOUNT_PLACES + 1
"""Nearly every number is this short, and then within every rule: nine places behind ``0.``, eleven digits."""


class InexactNumberError(ValueError):
    """A number that cannot be a quantity or an amount: NaN, infinite, too large or too finely divided."""


class Money(Record, frozen=True, kw_only=True):
    """An amount in one currency (ISO 4217, or a provider's unofficial code for crypto)."""

    amount: Decimal
    currency: str


def amount(value: Decimal) -> Decimal:
    """Round an amount of money to ten places, half to even.

    Raises:
        InexactNumberError: the value is NaN, infinite or at least 10^18.
    """
    # Asking the text is several times faster than as_tuple(), which builds a tuple of every digit.
    text = str(value)
    if len(text) <= _SHORT and value.is_finite() and "E" not in text:
        return value
    return _rounded(value, _AMOUNT_DIGITS, _AMOUNT_STEP, "an amount of money")


def quantity(value: Decimal) -> Decimal:
    """Round a quantity or a unit price to eighteen places, half to even.

    Raises:
        InexactNumberError: the value is NaN, infinite or at least 10^20.
    """
    text = str(value)
    if len(text) <= _SHORT and value.is_finite() and "E" not in text:
        return value
    return _rounded(value, _QUANTITY_DIGITS, _QUANTITY_STEP, "a quantity")


def _rounded(value: Decimal, digits: int, step: Decimal, what: str) -> Decimal:
    if not value.is_finite() or (value and value.adjusted() >= digits):
        raise InexactNumberError(f"{what} must be finite and below 10^{digits}")
    too_fine = value.as_tuple().exponent < step.as_tuple().exponent  # type: ignore[operator]  # finite: numbers
    return value.quantize(step, context=_WIDE) if too_fine else value


def product(*factors: Decimal) -> Decimal:
    """Multiply exactly (to 76 digits) and round the result as an amount of money."""
    result = factors[0]
    for factor in factors[1:]:
        result = _multiply(result, factor)
    return amount(result)
