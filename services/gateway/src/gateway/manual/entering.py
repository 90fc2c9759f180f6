"""From request bodies to entries. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gateway.manual.entries import FIGURES, Entry, EntryError
from gateway.manual.refused import bad_entries
from gateway.manual.units import unit
from gateway.schemas.manual import HoldingBody, HoldingChange, HoldingFields


def currency(code: str) -> str:
    """The currency of a new account, in whole units.

    Raises:
        ApiError: 422, it is none.
    """
    try:
        return unit(code).code
    except EntryError as error:
        raise bad_entries([(("body",), error)]) from error


def entry(body: HoldingBody) -> Entry:
    """One holding as it was entered."""
    return Entry(**_values(body))


def entries(bodies: Sequence[HoldingBody]) -> list[Entry]:
    """Holdings as they were entered."""
    return [entry(body) for body in bodies]


def changes(body: HoldingChange) -> dict[str, Any]:
    """The fields to change; None takes one away.

    Raises:
        ApiError: 422, the quantity cannot be taken away.
    """
    values = _values(body)
    if "quantity" in values and values["quantity"] is None:
        wrong = EntryError("quantity", "missing", "A holding needs its quantity; delete it instead.")
        raise bad_entries([(("body",), wrong)])
    return values


def _values(body: HoldingFields) -> dict[str, Any]:
    given = body.model_dump(exclude_unset=True)
    return {
        field: Decimal(value) if field in FIGURES and value is not None else value
        for field, value in given.items()
    }
