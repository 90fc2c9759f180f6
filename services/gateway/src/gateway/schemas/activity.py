"""Orders, performance, portfolio history and the log of sync runs."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.transactions import Coverage, Day
from gateway.schemas.values import (
    Currency,
    Cursor,
    Id,
    Instrument,
    Money,
    Number,
    Provider,
    Shown,
    Slug,
    Time,
)


class Order(Shown):
    """An order as the broker last reported it; prices are per share, options in contracts."""

    account_id: Id
    connection_id: Id
    provider: Provider
    institution: Slug
    broker_order_id: Annotated[str, Field(description="The broker's id; unique within the account.")]
    status: Annotated[str, Field(examples=["filled"])]
    raw_status: Annotated[str, Field(description="The provider's own word.")]
    side: Annotated[str, Field(examples=["buy"])]
    instrument: Instrument
    order_type: Annotated[str, Field(examples=["limit"])]
    time_in_force: Annotated[str, Field(examples=["day"])]
    quantity: Number | None
    filled_quantity: Number | None
    limit_price: Number | None
    stop_price: Number | None
    average_price: Number | None
    currency: Currency | None
    placed_at: Time | None
    updated_at: Time | None
    executed_at: Time | None
    first_seen_at: Time


class OrderPage(Shown):
    """A page of orders."""

    items: list[Order]
    next_cursor: Cursor


class BalancePoint(Shown):
    """What an account was worth at the end of a day."""

    day: Day
    total: Number


class PeriodReturn(Shown):
    """The provider's own rate of return over a period; 0.05 is five per cent."""

    period: Annotated[str, Field(examples=["1Y"])]
    rate: Number


class Performance(Shown):
    """An account's past by the word of its provider."""

    account_id: Id
    currency: Currency | None
    as_of: Time | None
    synced_at: Time | None
    points: list[BalancePoint]
    returns: list[PeriodReturn]
    reason: Annotated[
        Literal["manual_account", "nothing_reported", "nothing_in_range"] | None,
        Field(description="Why there are no points; null where there are some, or returns without them."),
    ]


class DayTotal(Shown):
    """A day's sum in one currency; not whole unless `complete`."""

    currency: Currency
    market_value: Number
    complete: bool


class DayRate(Shown):
    """A rate that a day was converted with."""

    currency: Currency
    rate: Number
    as_of: Annotated[Time | None, Field(description="When it was true; null for the base in itself.")]
    source: str


class DayBase(Shown):
    """A day's sum in the base currency, of what has a rate."""

    currency: Currency
    market_value: Number
    complete: bool
    rates: list[DayRate]
    without_rate: list[Currency]


class HistoryPoint(Shown):
    """What a portfolio was worth on a day, per currency."""

    day: Day
    carried: Annotated[
        bool, Field(description="Nothing was computed on this day: these are the last totals before it.")
    ]
    computed_on: Day
    totals: list[DayTotal]
    base: Annotated[DayBase | None, Field(description="Only where `base_currency` was asked for.")] = None


class PortfolioHistory(Shown):
    """A portfolio's daily totals, from the first that is known in the range."""

    portfolio_id: Id
    start_date: Day
    end_date: Day
    points: list[HistoryPoint]


class SyncRun(Shown):
    """One sync run of a connection."""

    run_id: str
    kind: Annotated[str, Field(description="initial, incremental or check.", examples=["incremental"])]
    trigger: Annotated[str, Field(examples=["schedule"])]
    status: Annotated[
        str, Field(description="started, completed, partial or failed.", examples=["completed"])
    ]
    accounts: int
    unchanged: Annotated[int, Field(description="Accounts of which nothing had to be fetched.")]
    holdings: int
    transactions: int
    orders: int
    new_items: Annotated[int, Field(description="Transactions and orders not seen before.")]
    updated_items: int
    coverage: Annotated[Coverage, Field(description="The days of transactions that were read.")]
    provider_calls: int
    cost: Annotated[Money, Field(description="What the provider charges for it.")]
    started_at: Time
    finished_at: Annotated[Time | None, Field(description="Null while it runs.")]
    seconds: Number | None
    error_code: str | None
    error: str | None


class SyncRunPage(Shown):
    """A page of a connection's sync runs, newest first."""

    connection_id: Id
    items: list[SyncRun]
    next_cursor: Cursor
