"""Columns as PostgreSQL array literals: one parameter per column instead of one per value.

Building the text here costs a fraction of adapting every element, and numbers travel as the strings they are.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec


class UnstorableTextError(ValueError):
    """A text holds a character that PostgreSQL cannot store."""


Cell = str | None
Row = tuple[Cell, ...]

_ENCODER = msgspec.json.Encoder()
_PLAIN = frozenset({"uuid", "numeric", "bigint", "boolean", "timestamptz", "date"})
"""Types whose text never needs quoting inside an array."""


def plain_array(values: Iterable[Cell]) -> str:
    """An array literal of values that need no quotes."""
    return "{" + ",".join(["NULL" if value is None else value for value in values]) + "}"


def text_array(values: Sequence[Cell]) -> str:
    """An array literal of any text.

    Raises:
        UnstorableTextError: a text holds a NUL character.
    """
    if None in values:
        return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"
    # One pass over all of it costs a tenth of one per value; NUL, which text cannot hold, keeps them apart.
    joined = "\0".join(values)  # type: ignore[arg-type]  # no None among them
    if joined.count("\0") != len(values) - 1:
        raise UnstorableTextError("text with a NUL character cannot be stored")
    return '{"' + _escaped(joined).replace("\0", '","') + '"}'


def columns(rows: Sequence[Row], types: Sequence[str]) -> list[str]:
    """The rows turned into one array literal per column, which must not be empty."""
    turned = zip(*rows, strict=True)
    return [
        plain_array(values) if kind in _PLAIN else text_array(values)
        for values, kind in zip(turned, types, strict=True)
    ]


def number(value: Decimal | None) -> Cell:
    """A number as text."""
    return None if value is None else str(value)


def time(value: datetime | None) -> Cell:
    """An aware time as text; msgspec writes it in an eighth of the time that ``isoformat`` takes."""
    return None if value is None else _ENCODER.encode(value)[1:-1].decode()


def truth(value: bool | None) -> Cell:
    """A truth value as text."""
    return None if value is None else ("t" if value else "f")


def integer(value: int | None) -> Cell:
    """A whole number as text."""
    return None if value is None else str(value)


def _quoted(value: str) -> str:
    return f'"{_escaped(value)}"'


def _escaped(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return text.replace('"', '\\"')
