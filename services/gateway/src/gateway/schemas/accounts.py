"""Provider accounts, their balances and their own holdings."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.values import (
    Capabilities,
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


class Check(Shown):
    """Whether what was counted adds up to the provider's own total."""

    account_id: Annotated[Id, Field(description="The counted source that was checked.")]
    outcome: Literal["ok", "break", "unknown"]
    reason: str
    counted: Number | None
    expected: Number | None
    difference: Number | None
    currency: Currency | None
    checked_at: Time


class CurrentSnapshot(Shown):
    """The snapshot that the account's holdings are; `GET /v1/snapshots/{id}` shows it."""

    id: Id
    content_hash: str
    version: int


class Account(Shown):
    """An account as one connection reports it. `counted` says whether this sight of the real account is summed."""

    id: Id
    connection_id: Id
    provider: Provider
    institution: Slug
    real_account_id: Annotated[Id | None, Field(description="The account at the institution; one per truth.")]
    name: str | None
    official_name: str | None
    type: str | None
    raw_type: str | None
    currency: Currency | None
    mask: Annotated[str | None, Field(description="The tail of the account number.")]
    status: str | None
    is_paper: bool
    total: Annotated[Money | None, Field(description="The provider's own figure.")]
    capabilities: Capabilities
    holds_securities: bool
    holdings: int
    as_of: Annotated[Time | None, Field(description="When the provider read it from the institution.")]
    synced_at: Annotated[Time | None, Field(description="When we read it from the provider.")]
    suspect: Annotated[
        bool, Field(description="Something newer could not be believed; the last good data stays.")
    ]
    suspect_reason: str | None
    counted: bool
    counted_account_id: Id | None
    counted_reason: str | None
    excluded_rule: Annotated[str | None, Field(description="Why this source is not the counted one.")]
    waiting: Annotated[
        bool, Field(description="Seen, but not described by its provider yet: not counted until then.")
    ]
    stale: bool
    needs_decision: Annotated[bool, Field(description="Somebody must say whether two accounts are one.")]
    connection_status: str
    snapshot: CurrentSnapshot | None
    check: Annotated[Check | None, Field(description="Of the real account.")]


class AccountPage(Shown):
    """A page of accounts."""

    items: list[Account]
    next_cursor: Cursor


class Balance(Shown):
    """The money side of an account in one currency; null is unknown, never zero."""

    currency: Currency
    cash: Number | None
    available: Number | None
    buying_power: Number | None
    equity: Number | None
    maintenance_excess: Number | None
    margin_loan: Number | None
    as_of: Time
    synced_at: Time


class Balances(Shown):
    """An account's balances."""

    account_id: Id
    items: list[Balance]
    next_cursor: Cursor


class AccountPosition(Shown):
    """What one provider account says it holds; sums over accounts are under `/v1/positions`."""

    instrument: Instrument
    ticker: str | None
    type: str
    name: str | None
    currency: Currency
    quantity: Number
    price: Number | None
    price_as_of: Time | None
    market_value: Number | None
    cost_basis: Number | None
    cash_equivalent: bool
    provider: Provider
    account_id: Id
    as_of: Time | None
    synced_at: Time | None


class AccountPositions(Shown):
    """A page of what one account holds."""

    account_id: Id
    items: list[AccountPosition]
    next_cursor: Cursor
