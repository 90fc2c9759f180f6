"""The query parameters by which transactions and orders are chosen."""

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AfterValidator, WithJsonSchema

from contracts.orders import OrderStatus
from contracts.transactions import TransactionType
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.reads.portfolios import portfolio_of
from gateway.reads.transactions import Filter
from gateway.reads.view import invalid


def one_of(words: type[StrEnum]) -> Callable[[str], str]:
    """Refuse what is none of the words; the enumerations themselves would read it as their ``other``."""
    known = {one.value for one in words}

    def checked(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(sorted(known))}")
        return text

    return checked


TypeName = Annotated[
    str,
    AfterValidator(one_of(TransactionType)),
    WithJsonSchema({"type": "string", "enum": [one.value for one in TransactionType]}),
]
StatusName = Annotated[
    str,
    AfterValidator(one_of(OrderStatus)),
    WithJsonSchema({"type": "string", "enum": [one.value for one in OrderStatus]}),
]
AccountFilter = Annotated[UUID | None, Query(alias="account", description="Only this account's own.")]
Symbol = Annotated[
    str | None,
    Query(
        pattern=r"^[\x20-\x7e]{1,64}$",
        description="Only of this ticker, OCC symbol or instrument key, in any case.",
    ),
]
Duplicates = Annotated[
    bool,
    Query(
        description="Also those of accounts that are another sight of a counted one: the same ones again. An account "
        "or connection that is named always tells its own.",
    ),
]
StartDate = Annotated[date | None, Query(description="The first day, included.")]
EndDate = Annotated[date | None, Query(description="The last day, included.")]
Types = Annotated[
    list[TypeName] | None,
    Query(alias="type", max_length=50, description="Only these types; repeat it for several."),
]
Statuses = Annotated[
    list[StatusName] | None,
    Query(alias="status", max_length=20, description="Only these; repeat it for several."),
]
Pending = Annotated[bool | None, Query(description="Only those that are pending, or are not.")]
Synced = Annotated[
    bool | None,
    Query(alias="synced_to_journal", description="Only those the journal has, or has not, taken."),
]


def ordered(start: date | None, end: date | None) -> None:
    """Refuse a range that ends before it begins.

    Raises:
        ApiError: 422.
    """
    if start is not None and end is not None and end < start:
        raise invalid("end_date", "before start_date")


def distinct(words: list[str] | None) -> tuple[str, ...] | None:
    """The words, each once; None where there are none."""
    return tuple(sorted(set(words))) if words else None


def of_account(
    *,
    symbol: Symbol = None,
    types: Types = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    pending: Pending = None,
    synced: Synced = None,
) -> Filter:
    """What may be asked of one account."""
    ordered(start_date, end_date)
    return Filter(
        symbol=symbol, types=distinct(types), start=start_date, end=end_date, pending=pending, synced=synced
    )


async def of_user(
    caller: Caller,
    parts: Parts,
    *,
    within: Annotated[Filter, Depends(of_account)],
    account: AccountFilter = None,
    connection: Annotated[UUID | None, Query(description="Only of this connection.")] = None,
    portfolio: Annotated[
        str | None, Query(max_length=64, description="Only of this portfolio of yours, by name or id.")
    ] = None,
    duplicates: Duplicates = False,
) -> Filter:
    """What may be asked over all accounts.

    Raises:
        ApiError: 404, no such portfolio.
    """
    wanted = await portfolio_of(parts.database, caller.user_id, portfolio) if portfolio else None
    return Filter(
        account=account,
        connection=connection,
        portfolio=wanted,
        symbol=within.symbol,
        types=within.types,
        start=within.start,
        end=within.end,
        pending=within.pending,
        synced=within.synced,
        duplicates=duplicates,
    )


AccountWants = Annotated[Filter, Depends(of_account)]
UserWants = Annotated[Filter, Depends(of_user)]
