"""From a record to an entry: each cell read as what its column means, each fault named with its place. Pure."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.manual.entries import FIGURES, Entry, EntryError
from gateway.manual.holdings import Line, line
from gateway.manual.instruments import KINDS
from gateway.manual.sheet import days, figures
from gateway.manual.sheet.faults import Fault, excerpt
from gateway.manual.sheet.layout import Layout
from gateway.manual.sheet.records import LONGEST_CELL, Record
from gateway.manual.units import ONE

MAX_TEXT = 200
_EXACT = FIGURES | {"price_as_of"}
CASH_WORDS = frozenset({"cash", "cash & cash investments", "cash balance", "cash and cash investments", "bargeld",
                        "guthaben", "liquidités", "efectivo", "liquidità", "kontanten", "kontostand"})  # fmt: skip
_TYPE_WORDS = {
    "stock": "equity, equities, stocks, common stock, share, shares, aktie, aktien, action, actions, accion, acciones, azione, azioni",
    "etf": "etfs, exchange traded fund, etfs & closed end funds, exchange-traded fund",
    "adr": "adrs, depositary receipt",
    "mutual_fund": "mutual fund, mutual funds, fund, funds, fonds, fondo, fondi",
    "closed_end_fund": "closed end fund, closed-end fund",
    "money_market": "money market, money market fund, cash and money market, sweep",
    "bond": "bonds, fixed income, anleihe, anleihen, obligation, obligations, bono, bonos, obbligazione, obbligazioni",
    "option": "options",
    "crypto": "cryptocurrency, cryptocurrencies, krypto, crypto asset",
    "cash": "currency, cash balance",
    "other": "others",
}
_TYPES = {word.strip(): kind for kind, words in _TYPE_WORDS.items() for word in [kind, *words.split(",")]}


@dataclass(frozen=True, slots=True)
class Style:
    """How the file writes numbers and dates; ``dates`` is None where no date needs it."""

    decimal: str
    dates: str | None


class RowReader:
    """Reads the records of one table."""

    def __init__(self, table: Layout, style: Style, account_currency: str, now: datetime) -> None:
        self._table = table
        self._style = style
        self._currency = account_currency
        self._now = now

    def read(self, record: Record) -> tuple[Line | None, list[Fault]]:
        """The holding in a record, or everything that is wrong with it."""
        faults: list[Fault] = []
        values: dict[str, Any] = {}
        marks: dict[str, str] = {}
        for field, place in self._table.mapping.items():
            text = record.cells[place] if place < len(record.cells) else ""
            if figures.is_blank(text, figures.NO_FIGURE if field in _EXACT else figures.BLANK):
                continue
            try:
                values[field] = self._cell(field, text, marks)
            except EntryError as error:
                faults.append(self._fault(record, field, error))
        if not faults:
            try:
                return self._line(values, marks), []
            except EntryError as error:
                faults.append(self._fault(record, error.field, error))
        return None, faults

    def _line(self, values: dict[str, Any], marks: Mapping[str, str]) -> Line:
        filled = completed(values)
        if "quantity" not in filled:
            raise EntryError("quantity", "missing", "A holding needs its quantity.")
        found = line(Entry(**filled), self._currency)
        for field, code in marks.items():
            if code != found.holding.currency:
                message = f"The figure is in {code}, the row in {found.holding.currency}; map or add a currency column."
                raise EntryError(field, "currency_mismatch", message)
        return found

    def _cell(self, field: str, text: str, marks: dict[str, str]) -> str | Decimal | datetime:
        if field in FIGURES:
            return self._number(field, text, marks)
        if field == "price_as_of":
            try:
                return days.moment(text, self._style.dates, self._now)
            except days.DayError as error:
                raise EntryError(field, "bad_date", str(error)) from error
        return _type(text) if field == "type" else plain_text(field, text)

    def _number(self, field: str, text: str, marks: dict[str, str]) -> Decimal:
        try:
            found = figures.figure(text)
            if found.currency:
                marks[field] = found.currency
            return figures.value(found, self._style.decimal)
        except figures.FigureError as error:
            raise EntryError(field, error.code, error.message) from error

    def _fault(self, record: Record, field: str, error: EntryError) -> Fault:
        place = self._table.mapping.get(field)
        text = record.cells[place] if place is not None and place < len(record.cells) else None
        return Fault(
            record.line,
            error.code,
            error.message,
            self._table.column_of(field) or field,
            None if text is None else excerpt(text),
        )


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a row with what brokers leave out of rows of cash: their quantity is their value."""
    symbol, name = values.get("symbol"), values.get("name")
    named = str(symbol or name or "").casefold()
    if named in CASH_WORDS and values.get("type") in {None, "cash", "money_market"}:
        values = {field: value for field, value in values.items() if field not in {"symbol", "price"}} | {
            "type": "cash"
        }
    elif symbol and symbol.endswith("**"):
        values = values | {"symbol": symbol.rstrip("*"), "type": "money_market"}
    if "quantity" not in values and "market_value" in values:
        if values.get("type") == "cash":
            return values | {"quantity": values["market_value"]}
        if values.get("type") == "money_market":
            # A money-market fund's unit is worth one by construction; brokers then leave the units out.
            return values | {"quantity": values["market_value"], "price": ONE}
    return values


def plain_text(field: str, text: str) -> str:
    """A text as it is kept: blanks folded, nothing evaluated.

    Raises:
        EntryError: it is too long or holds characters that are none.
    """
    if len(text) > LONGEST_CELL:
        raise EntryError(field, "too_long", f"A text has at most {MAX_TEXT} characters.")
    plain = unicodedata.normalize("NFC", " ".join(text.split()))
    if not plain.isprintable() or "\x00" in text:
        raise EntryError(field, "control_character", "The text holds characters that cannot be shown.")
    if len(plain) > MAX_TEXT:
        raise EntryError(field, "too_long", f"A text has at most {MAX_TEXT} characters.")
    return plain


def _type(text: str) -> str:
    word = " ".join(text.casefold().split())
    if word not in _TYPES:
        message = f"A type is one of {', '.join(KINDS)}; map the column to nothing to leave it out."
        raise EntryError("type", "bad_type", message)
    return _TYPES[word]
