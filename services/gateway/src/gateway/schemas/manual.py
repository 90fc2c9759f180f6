"""Accounts entered by hand: what is taken and what is shown."""

import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.manual.accounts import MAX_ACCOUNTS
from gateway.manual.holdings import MAX_HOLDINGS
from gateway.manual.instruments import KINDS
from gateway.schemas.decisions import Status
from gateway.schemas.values import PLAIN_TEXT, Currency, Cursor, Id, Number, Shown, Slug, Taken, Time

_DECIMAL = r"^[+-]?[0-9]{1,20}(\.[0-9]{1,18})?$"
_TAIL = re.compile(r"[0-9]{2,6}")


def _decimal(value: Any) -> Any:
    """Let nothing through that is not written out as a decimal number in a string."""
    if isinstance(value, str) and not re.fullmatch(_DECIMAL, value):
        message = "must be a plain decimal number, at most 20 digits before and 18 after the point"
        raise PydanticCustomError("decimal_string", message)
    if not isinstance(value, str | None):
        message = 'must be a string such as "150.25": JSON numbers lose digits on their way'
        raise PydanticCustomError("decimal_string", message)
    return value


def _moment(value: Any) -> Any:
    """A day as its midnight; anything but text is refused."""
    if not isinstance(value, str | None):
        raise PydanticCustomError("date_string", 'must be a date or time such as "2026-11-20"')
    try:
        return value if value is None else _aware(value)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("date_string", 'must be a date or time such as "2026-11-20"') from error


def _aware(text: str) -> datetime:
    if len(text) == len("2026-11-20"):
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _tail(value: str | None) -> str | None:
    if value is not None and not _TAIL.fullmatch(value):
        message = "must be the last two to six digits alone; never send a full account number"
        raise PydanticCustomError("mask", message)
    return value


def _printable(value: str | None) -> str | None:
    if value is not None and not value.isprintable():
        raise PydanticCustomError("control_character", "must not hold characters that cannot be shown")
    return value


Decimals = Annotated[
    str,
    BeforeValidator(_decimal),
    WithJsonSchema({"type": "string", "pattern": _DECIMAL, "examples": ["150.25"]}),
]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-11-20", "2026-11-20T21:00:00Z"]}),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=PLAIN_TEXT, examples=["Shoebox"]),
    AfterValidator(_printable),
]
InstitutionName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=PLAIN_TEXT,
        description="A slug, a display name or any name, as for linking.",
        examples=["fidelity"],
    ),
    AfterValidator(_printable),
]
Mask = Annotated[
    str,
    AfterValidator(_tail),
    Field(
        max_length=64,
        description="The last two to six digits of the account number, of which four are kept; nothing longer is taken.",
        examples=["4321"],
    ),
]
Type = Literal[
    "brokerage", "retirement", "deposit", "credit", "loan", "crypto", "education", "annuity", "other"
]
Code = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{2,4}$", examples=["USD"])]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN_TEXT), AfterValidator(_printable)]


class HoldingFields(Taken):
    """What can be said of a holding."""

    symbol: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            pattern=PLAIN_TEXT,
            description="A ticker (`AAPL`, `RY.TO`), an OCC option symbol, or an instrument key (`CRYPTO:BTC`, `CUR:USD`).",
            examples=["VTI"],
        ),
    ] = None
    type: Annotated[
        str | None,
        Field(max_length=32, description=f"One of {', '.join(KINDS)}; else by the form of the symbol."),
    ] = None
    currency: Annotated[Code | None, Field(description="The account's, where it is left out.")] = None
    price: Annotated[Decimals | None, Field(description="Per share (of the underlying, for options).")] = None
    market_value: Annotated[
        Decimals | None, Field(description="Of the whole; else price times quantity times multiplier.")
    ] = None
    cost_basis: Annotated[Decimals | None, Field(description="Of the whole.")] = None
    cost_per_unit: Annotated[Decimals | None, Field(description="Instead of `cost_basis`.")] = None
    price_as_of: Annotated[
        Moment | None, Field(description="A day or a time; UTC unless it says otherwise.")
    ] = None
    name: Text | None = None
    figi: Annotated[str | None, Field(max_length=12), AfterValidator(_printable)] = None
    isin: Annotated[str | None, Field(max_length=12), AfterValidator(_printable)] = None
    cusip: Annotated[str | None, Field(max_length=9), AfterValidator(_printable)] = None
    multiplier: Annotated[Decimals | None, Field(description="Of an option, 100 unless it is said.")] = None


class HoldingBody(HoldingFields):
    """One holding: what it is (symbol, identifier or name) and how much of it. Numbers are decimal strings."""

    quantity: Annotated[
        Decimals, Field(description="Shares, contracts, coins, face value or cash; negative when short.")
    ]


class HoldingChange(HoldingFields):
    """What to change of a holding. What is left out stays, null takes it away."""

    quantity: Decimals | None = None


class ManualAccountBody(Taken):
    """An account to enter, with or without what it holds."""

    name: Name
    institution: InstitutionName | None = None
    type: Type
    currency: Annotated[Code, Field(description="It cannot be changed later.")]
    mask: Mask | None = None
    holdings: Annotated[list[HoldingBody], Field(max_length=MAX_HOLDINGS, default_factory=list)]


class ManualAccountChange(Taken):
    """What to change of an account; what is left out stays, and a null `mask` takes it away."""

    name: Name | None = None
    institution: InstitutionName | None = None
    type: Type | None = None
    mask: Mask | None = None


class HoldingsBody(Taken):
    """All that the account holds; what is not named is gone."""

    holdings: Annotated[list[HoldingBody], Field(max_length=MAX_HOLDINGS)]


class ManualAccount(Shown):
    """An account entered by hand."""

    id: Id
    connection_id: Id
    name: str
    institution: Slug
    institution_name: str
    type: Type
    currency: Currency
    mask: Annotated[str | None, Field(description="The tail of the account number.")]
    holdings: int
    version: Annotated[int, Field(description="Moves with every change; also the `ETag`.")]
    created_at: Time
    updated_at: Time
    status: Status


class DeletedAccount(Shown):
    """An account on its way out."""

    id: Id
    status: Status


class ManualHolding(Shown):
    """A holding as it was entered, with the key of the instrument it was understood as."""

    id: Id
    instrument_key: Annotated[str, Field(examples=["VTI"])]
    symbol: str | None
    type: str | None
    name: str | None
    currency: Annotated[str | None, Field(description="Null where the account's was meant.")]
    quantity: Number
    price: Number | None
    market_value: Number | None
    cost_basis: Number | None
    cost_per_unit: Number | None
    price_as_of: Time | None
    figi: str | None
    isin: str | None
    cusip: str | None
    multiplier: Number | None


class ManualHoldings(Shown):
    """What an account holds as it was entered, in that order."""

    account_id: Id
    version: int
    items: list[ManualHolding]
    next_cursor: Cursor


class HoldingsChange(Shown):
    """What became of an account's holdings."""

    account_id: Id
    version: int
    holdings: int
    holding: Annotated[ManualHolding | None, Field(description="The one that was added or changed.")]
    status: Status


LIMITS = f"At most {MAX_ACCOUNTS} such accounts, {MAX_HOLDINGS} holdings in each."
PreviewId = Annotated[UUID, Field(description="Of the preview to import.")]
