"""Rows that are no holdings: totals, footnotes, repeated headers, a second table. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from gateway.manual.sheet.faults import excerpt
from gateway.manual.sheet.figures import is_blank
from gateway.manual.sheet.headers import detected, fold
from gateway.manual.sheet.layout import MAX_COLUMNS, Layout
from gateway.manual.sheet.records import Record

SHOWN = 100
"""Skipped rows that are listed; the others are counted."""
_TOTAL = re.compile(
    r"(account |accounts |positions |portfolio |grand |sub ?)?totals?|totals? (account|portfolio|value)|"
    r"gesamt(summe|wert)?|summe|total (général|general|geral|generale)|totale|totaal|subtotal",
    re.IGNORECASE,
)
_PENDING = frozenset({"pending activity", "pending transactions"})
_ANOTHER_HEADER = 3
_HAS_DIGIT = re.compile(r"[0-9]").search
_NAMING = ("symbol", "name")
_IDENTIFYING = ("symbol", "isin", "figi", "cusip")


class Why(StrEnum):
    """Why a row was not read as a holding."""

    PREAMBLE = "preamble"
    TOTAL = "total"
    NOTE = "note"
    PENDING = "pending_activity"
    HEADER = "repeated_header"
    OTHER_TABLE = "another_table"
    """Nothing from here to the end of the file is read."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was left out; ``text`` is how it begins."""

    row: int
    reason: Why
    text: str


def reason(record: Record, table: Layout) -> Why | None:
    """Why this record of the table's body is no holding; None where it is one, or should be."""
    if not _identified(record, table):
        said = {record.filled[0].strip(), *(_cell(record, table.mapping.get(field)) for field in _NAMING)}
        if any(_TOTAL.fullmatch(text) for text in said):
            return Why.TOTAL
        if any(text.casefold() in _PENDING for text in said):
            return Why.PENDING
    if any(map(_HAS_DIGIT, record.cells)):
        return Why.NOTE if _is_sentence(record.filled) else None
    filled = record.filled
    if _is_sentence(filled):
        return Why.NOTE
    return _header_like(record, table) if len(filled) >= _ANOTHER_HEADER else None


def skipped(record: Record, why: Why) -> Skipped:
    """The row as it is reported."""
    return Skipped(record.line, why, excerpt(" ".join(record.filled[0].split()) if record.filled else ""))


def _header_like(record: Record, table: Layout) -> Why | None:
    filled = record.filled
    if len(filled) > MAX_COLUMNS:
        return None
    if all(fold(cell) == own for cell, own in zip_longest(filled, table.folded[: len(filled)], fillvalue="")):
        return Why.HEADER
    return Why.OTHER_TABLE if len(detected(filled)) >= _ANOTHER_HEADER else None


def _is_sentence(filled: list[str]) -> bool:
    """Whether a row is one cell of several words: a title or a footnote."""
    return len(filled) == 1 and " " in filled[0].strip()


def _identified(record: Record, table: Layout) -> bool:
    """Whether a cell names an instrument, and not a total or something pending in its place."""
    for field in _IDENTIFYING:
        place = table.mapping.get(field)
        if place is None or is_blank(cell := _cell(record, place)):
            continue
        if not _TOTAL.fullmatch(cell) and cell.casefold() not in _PENDING:
            return True
    return False


def _cell(record: Record, place: int | None) -> str:
    return record.cells[place].strip() if place is not None and place < len(record.cells) else ""
