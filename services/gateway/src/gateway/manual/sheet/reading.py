"""Reading a whole file: holdings, faults and what was left out, in one pass after the file's ways are known. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from gateway.manual.holdings import MAX_HOLDINGS, Line, Slot
from gateway.manual.sheet.faults import Fault, UnreadableError
from gateway.manual.sheet.layout import Choices, Layout
from gateway.manual.sheet.records import Record, records
from gateway.manual.sheet.rows import RowReader, Style
from gateway.manual.sheet.skipping import SHOWN, Skipped, Why, reason, skipped
from gateway.manual.sheet.styles import style

MAX_ROWS = 100_000
MAX_LINES = 3 * MAX_ROWS
"""Empty lines and lines inside quoted cells are no rows, but take their time."""
FAULTS_KEPT = 1_000


@dataclass(slots=True)
class Reading:
    """What a file says. ``faults`` are the first thousand, ``counts`` all of them by code."""

    table: Layout
    style: Style
    lines: list[tuple[int, Line]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    bad_rows: int = 0
    rows: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    left_out: int = 0
    untyped: int = 0
    fatal: bool = False

    def add(self, faults: list[Fault]) -> None:
        """Count the faults of one row, and keep them while there is room."""
        self.bad_rows += 1
        self.counts.update(fault.code for fault in faults)
        self.fatal = self.fatal or any(fault.fatal for fault in faults)
        room = FAULTS_KEPT - len(self.faults)
        if room > 0:
            self.faults.extend(faults[:room])

    def skip(self, record: Record, why: Why) -> None:
        """Note a row that is left out."""
        self.left_out += 1
        if len(self.skipped) < SHOWN:
            self.skipped.append(skipped(record, why))


def read(text: str, table: Layout, choices: Choices, account_currency: str, now: datetime) -> Reading:
    """Read the table's rows; nothing where it must be asked how to read them.

    Raises:
        UnreadableError: there are no rows, or more than a hundred thousand.
    """
    if max(text.count("\n"), text.count("\r")) > MAX_LINES:
        raise _too_many(table.header_line)
    how, asked = style(_holdings(text, table), table, choices)
    reading = Reading(table, how)
    for fault in asked:
        reading.add([fault])
    if table.missing or asked:
        reading.rows = sum(1 for _ in _holdings(text, table))
    else:
        _read_all(reading, text, RowReader(table, how, account_currency, now))
    if not reading.rows:
        raise UnreadableError("no_rows", "The file has a header and no rows.", row=table.header_line)
    return reading


def _read_all(reading: Reading, text: str, reader: RowReader) -> None:
    slots: dict[Slot, int] = {}
    accounts: dict[str, int] = {}
    for one, why in _body(text, reading.table):
        if isinstance(one, Fault):
            reading.rows += 1
            reading.add([one])
        elif why is not None:
            reading.skip(one, why)
        else:
            reading.rows += 1
            _read_row(reading, one, reader, slots, accounts)


def _read_row(
    reading: Reading, record: Record, reader: RowReader, slots: dict[Slot, int], accounts: dict[str, int]
) -> None:
    found, faults = None, _ragged(record, reading.table)
    if not faults:
        found, faults = reader.read(record)
    faults = faults + _other_account(record, reading.table, accounts)
    if found is not None and not faults:
        faults = _again(record, found, slots, reading)
    if faults or found is None:
        reading.add(faults)
    elif len(reading.lines) < MAX_HOLDINGS:
        reading.untyped += found.entry.type is None
        reading.lines.append((record.line, found))


def _again(record: Record, found: Line, slots: dict[Slot, int], reading: Reading) -> list[Fault]:
    """The faults of a row that is good by itself: its instrument came before, or it is one too many."""
    first = slots.setdefault(found.slot, record.line)
    key, currency = found.slot
    if first != record.line:
        message = f"{key} in {currency} is in row {first} already; put both into one row."
        column = reading.table.column_of("symbol") or reading.table.column_of("name")
        return [Fault(record.line, "duplicate", message, column, key, fatal=True)]
    if len(slots) == MAX_HOLDINGS + 1:
        message = f"An account has at most {MAX_HOLDINGS} holdings; this row is one too many."
        return [Fault(record.line, "too_many_holdings", message, fatal=True)]
    return []


def _ragged(record: Record, table: Layout) -> list[Fault]:
    wide, cells = len(table.columns), record.cells
    if len(cells) < wide:
        lacking = [one for one in table.mapping.values() if one >= len(cells)]
        if not lacking and len(cells) > 1:
            return []
        message = f"The row has {len(cells)} cells, the header {wide}."
        return [Fault(record.line, "ragged", message)]
    if any(cell.strip() for cell in cells[wide:]):
        message = (
            f"The row has {len(cells)} cells, the header {wide}: is a delimiter inside an unquoted cell?"
        )
        return [Fault(record.line, "ragged", message)]
    return []


def _other_account(record: Record, table: Layout, accounts: dict[str, int]) -> list[Fault]:
    """A fault on the first row of a second account; which account it is stays unsaid."""
    place = table.account
    if place is None or place >= len(record.cells) or not record.cells[place].strip():
        return []
    before = len(accounts)
    first = next(iter(accounts.values()), record.line)
    accounts.setdefault(record.cells[place].strip(), record.line)
    if before != 1 or len(accounts) == 1:
        return []
    message = f"This row is of another account than row {first}; import one account at a time."
    return [Fault(record.line, "several_accounts", message, table.columns[place], fatal=True)]


def _holdings(text: str, table: Layout) -> Iterator[Record]:
    """The records that should be holdings."""
    return (one for one, why in _body(text, table) if isinstance(one, Record) and why is None)


def _body(text: str, table: Layout) -> Iterator[tuple[Record | Fault, Why | None]]:
    """Everything but the header and empty rows, up to where another table begins, and why a row is no holding.

    Raises:
        UnreadableError: there are more than a hundred thousand rows.
    """
    rows = 0
    for one in records(text, table.delimiter):
        why = None
        if isinstance(one, Record):
            if one.line == table.header_line or not one.filled:
                continue
            why = Why.PREAMBLE if one.line < table.header_line else reason(one, table)
        rows += 1
        if rows > MAX_ROWS:
            raise _too_many(one.line if isinstance(one, Record) else one.row)
        yield one, why
        if why is Why.OTHER_TABLE:
            return


def _too_many(row: int) -> UnreadableError:
    return UnreadableError("too_many_rows", f"A file has at most {MAX_ROWS} rows.", row=row)
