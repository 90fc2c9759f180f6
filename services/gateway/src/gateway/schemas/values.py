"""The values that bodies are made of."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

PLAIN_TEXT = r"^[^\x00-\x1f\x7f]+$"

Number = Annotated[
    str, Field(pattern=r"^-?\d+(\.\d+)?$", description="A decimal number, as a string.", examples=["150.25"])
]
Slug = Annotated[str, Field(examples=["charles-schwab"])]
Provider = Annotated[str, Field(examples=["snaptrade"], description="A provider's slug.")]
Currency = Annotated[str, Field(examples=["USD"], description="ISO 4217, or an unofficial code for crypto.")]
Time = Annotated[datetime, Field(examples=["2026-11-21T14:30:00+00:00"])]
Id = Annotated[UUID, Field(examples=["6f1c2a34-0d0c-5c5e-9f0e-2f6f0e6b7a10"])]
Cursor = Annotated[
    str | None, Field(description="Pass it as `cursor` for the next page; null on the last one.")
]

PathId = Annotated[str, Path(max_length=64, description="An id this API gave.")]
PageCursor = Annotated[
    str | None,
    Query(max_length=1024, pattern=r"^[A-Za-z0-9_-]+$", description="`next_cursor` of the page before."),
]
PageLimit = Annotated[int, Query(ge=1, le=500, description="Rows per page.")]
TypeFilter = Annotated[
    str | None,
    Query(
        alias="type", pattern=r"^[a-z_]{1,32}$", description="Only this type of instrument, such as `etf`."
    ),
]


class Shown(BaseModel):
    """A body we answer; every field is always there."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Taken(BaseModel):
    """A body we take; a field nobody knows is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Capabilities(Shown):
    """What can be done: `trading` where provider, coverage, connection and account all allow it."""

    trading: bool
    realtime: bool


class Money(Shown):
    """An amount in one currency."""

    amount: Number
    currency: Currency | None


class Instrument(Shown):
    """One thing that can be held, with every identifier it was seen with; `key` joins providers' rows."""

    key: Annotated[str, Field(examples=["AAPL"])]
    kind: Annotated[str, Field(examples=["stock"])]
    symbol: str | None
    name: str | None
    currency: str | None
    mic: str | None
    figi: str | None
    figi_share_class: str | None
    isin: str | None
    cusip: str | None
    provider_security_id: str | None
    multiplier: Number | None
    option: dict[str, Any] | None
    maturity: str | None
