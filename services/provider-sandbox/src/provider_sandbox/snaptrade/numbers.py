"""How SnapTrade writes numbers: decimal strings in the newer answers, JSON numbers in the older ones."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


def text(value: Decimal | None) -> str | None:
    """Return a plain decimal string without exponent and needless zeros; None stays None."""
    if value is None:
        return None
    plain = f"{value:f}"
    return (plain.rstrip("0").rstrip(".") or "0") if "." in plain else plain


def number(value: Decimal) -> int | float:
    """Return a JSON number that prints with the value's own digits."""
    return int(value) if value == value.to_integral_value() else float(value)


def money(value: Decimal, currency: str) -> dict[str, Any]:
    """Return `{amount, currency}`, the amount a JSON number in cents precision."""
    return {"amount": number(value.quantize(Decimal("0.01"))), "currency": currency}


def moment(at: datetime | None) -> str | None:
    """Return an ISO timestamp in UTC with microseconds and `Z`; None stays None."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
