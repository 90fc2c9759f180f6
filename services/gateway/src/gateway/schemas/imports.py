"""Importing a CSV file into an account entered by hand."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.manual.difference import Mode
from gateway.schemas.decisions import Status
from gateway.schemas.manual import PreviewId
from gateway.schemas.values import Currency, Id, Number, Shown, Taken, Time

ColumnName = Annotated[str, Field(max_length=120)]
Mapping = Annotated[
    dict[Annotated[str, Field(max_length=32)], ColumnName | None],
    Field(
        max_length=20,
        description="Field → column, laid over what was detected; null leaves a field out. Fields: symbol, name, "
        "type, quantity, currency, price, market_value, cost_basis, cost_per_unit, price_as_of, figi, isin, cusip, "
        "multiplier.",
    ),
]
Delimiter = Annotated[Literal[",", ";", "\t", "|"], Field(description="Between cells; detected by default.")]
Decimal = Annotated[
    Literal[".", ","], Field(description="The decimal mark; only needed where the file does not prove it.")
]
Dates = Annotated[
    Literal["us", "eu"], Field(description="Month first or day first; only needed where it is not proved.")
]


class ImportOptions(Taken):
    """How to read a file, and what to do with it."""

    mode: Annotated[Mode, Field(description="`replace` all that the account holds, or `merge` into it.")] = (
        Mode.REPLACE
    )
    delimiter: Delimiter | None = None
    decimal: Decimal | None = None
    dates: Dates | None = None
    mapping: Mapping = Field(default_factory=dict)


class ImportPreviewBody(ImportOptions):
    """A file as text, and how to read it."""

    csv: Annotated[str, Field(description="The file, at most 10 MiB and 100,000 rows.")]


class Column(Shown):
    """A column of the file, and the field it is read as."""

    name: str
    field: str | None


class ImportRow(Shown):
    """A row as it was understood."""

    row: Annotated[int, Field(description="The line of the file on which the row begins, from 1.")]
    instrument_key: str
    symbol: str | None
    type: str
    name: str | None
    currency: Currency
    quantity: Number
    price: Number | None
    price_as_of: Time | None
    market_value: Number | None
    cost_basis: Number | None


class ImportFault(Shown):
    """Something wrong in a row; with `fatal` nothing can be imported before it is mended."""

    row: int
    column: str | None
    value: Annotated[str | None, Field(description="The beginning of the cell.")]
    code: Annotated[str, Field(examples=["bad_number"])]
    message: str
    fatal: bool


class SkippedRow(Shown):
    """A row that is no holding: a title, a total, a footnote, another table."""

    row: int
    reason: str
    text: str


class ImportTotal(Shown):
    """What the rows are worth in one currency; not whole unless `complete`."""

    currency: Currency
    market_value: Number
    complete: bool


class ImportCounts(Shown):
    """How many there are of each, also beyond what is listed."""

    rows: Annotated[int, Field(description="Rows that should be holdings.")]
    holdings: int
    bad_rows: int
    errors: Annotated[dict[str, int], Field(description="Errors by code.")]
    skipped: int
    market_value: list[ImportTotal]


class Would(Shown):
    """What importing would do to the holdings of the account."""

    added: int
    changed: int
    removed: int
    unchanged: int


class ImportPreview(Shown):
    """What a file says and what importing it would do; nothing has changed yet."""

    account_id: Id
    preview_id: Annotated[Id | None, Field(description="Null where nothing can be imported yet.")]
    expires_at: Time | None
    mode: Mode
    encoding: str
    delimiter: str
    decimal: str
    dates: str | None
    columns: list[Column]
    mapping: Annotated[dict[str, str], Field(description="Field → column, as the file was read.")]
    missing: Annotated[list[str], Field(description="Fields that a column must be mapped to first.")]
    remembered: Annotated[bool, Field(description="A file with these columns was imported before.")]
    rows: Annotated[list[ImportRow], Field(description="The first 50.")]
    errors: Annotated[list[ImportFault], Field(description="The first 1,000.")]
    skipped: Annotated[list[SkippedRow], Field(description="The first 100.")]
    notes: list[str]
    totals: ImportCounts
    would: Would
    ready: Annotated[bool, Field(description="There is nothing wrong with any row.")]


class ImportBody(Taken):
    """Import what a preview showed."""

    preview_id: PreviewId
    skip_bad_rows: Annotated[
        bool,
        Field(description="Import the good rows and leave the bad ones out; else one bad row refuses all."),
    ] = False


class ImportResult(Shown):
    """What an import did."""

    account_id: Id
    preview_id: Id
    version: int
    holdings: int
    added: int
    changed: int
    removed: int
    unchanged: int
    skipped_rows: int
    status: Status
