"""Transactions as a file for spreadsheets: RFC 4180, and no cell that a spreadsheet would take for a formula."""

import csv
import io
from collections.abc import AsyncGenerator, Iterable

from gateway.reads.transactions import Filter, runs
from persistence.database import Database

ROWS = 1_000
"""Rows read at a time."""
TEXTS = frozenset(
    {
        "provider",
        "institution",
        "type",
        "raw_type",
        "symbol",
        "instrument_key",
        "description",
        "currency",
        "option_action",
        "broker_reference",
        "journal_trade_id",
        "sync_notes",
    }
)
"""Columns whose words are somebody else's."""
_NUMBERS = ("quantity", "price", "amount", "fee", "fx_rate")
COLUMNS = (
    "id",
    "account_id",
    "provider",
    "institution",
    "booked_on",
    "traded_at",
    "settlement_date",
    "type",
    "raw_type",
    "symbol",
    "instrument_key",
    "description",
    "quantity",
    "price",
    "amount",
    "fee",
    "currency",
    "fx_rate",
    "option_action",
    "pending",
    "broker_reference",
    "synced_to_journal",
    "journal_trade_id",
    "sync_notes",
)
"""The columns, in this order for ever; new ones come behind them."""
_SPECIAL = {
    "id": "t.transaction_id::text",
    "traded_at": """to_char(t.traded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')""",
} | {name: f"trim_scale(t.{name})::text" for name in _NUMBERS}
SELECTED = ", ".join(_SPECIAL.get(name, f"t.{name}::text") for name in COLUMNS)
# Excel and its like read these as the beginning of a formula, also behind spaces and in full width.
_DANGEROUS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def guarded(text: str) -> str:
    """A text that stays one: with an apostrophe before what could be a formula."""
    begins = text.lstrip(" \u00a0\u3000\ufeff")[:1]
    return f"'{text}" if begins in _DANGEROUS and begins else text


def lines(rows: Iterable[Iterable[str | None]]) -> bytes:
    """Rows of cells as lines of a file, in the order of ``COLUMNS``; an unknown value is an empty cell."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerows(
        [
            guarded(cell or "") if name in TEXTS else cell or ""
            for name, cell in zip(COLUMNS, row, strict=True)
        ]
        for row in rows
    )
    return written.getvalue().encode()


async def sheet(database: Database, user_id: str, wanted: Filter) -> AsyncGenerator[bytes, None]:
    """The file, piece by piece; its first line names the columns, and comes with the first rows."""
    head = lines([COLUMNS])
    async for rows in runs(database, user_id, wanted, SELECTED, ROWS):
        yield head + lines(rows)
        head = b""
