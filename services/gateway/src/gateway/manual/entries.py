"""What a person enters about one holding, and how it is kept and shown. Pure."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


class EntryError(ValueError):
    """An entry that cannot be a holding; ``field`` is where, ``code`` is stable, the message is for people."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code
        self.message = message


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One holding as it was entered; ``None`` is what nobody said.

    ``symbol``: a ticker, an OCC symbol, or an instrument key (``CUR:USD``, ``CRYPTO:BTC``, ``ISIN:…``).
    ``cost_basis`` is a total, ``cost_per_unit`` per share (of the underlying, for options): one of both.
    """

    quantity: Decimal
    symbol: str | None = None
    type: str | None = None
    currency: str | None = None
    price: Decimal | None = None
    market_value: Decimal | None = None
    cost_basis: Decimal | None = None
    cost_per_unit: Decimal | None = None
    price_as_of: datetime | None = None
    name: str | None = None
    figi: str | None = None
    isin: str | None = None
    cusip: str | None = None
    multiplier: Decimal | None = None


FIELDS = Entry.__struct_fields__
FIGURES = frozenset({"quantity", "price", "market_value", "cost_basis", "cost_per_unit", "multiplier"})


def shown(entry: Entry) -> dict[str, Any]:
    """The entry as JSON: numbers as plain decimal strings, every field there."""
    return {field: _plain(getattr(entry, field)) for field in FIELDS}


def read(values: dict[str, Any]) -> Entry:
    """The entry that ``shown`` made this of.

    Raises:
        msgspec.ValidationError: the values are not an entry's.
    """
    return msgspec.convert(values, Entry)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, datetime) else value
