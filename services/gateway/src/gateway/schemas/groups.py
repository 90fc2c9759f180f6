"""Grouped positions."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.portfolio import ASKED, BaseTotal, ProxyFor, Total
from gateway.schemas.values import Currency, Cursor, Id, Number, Provider, Shown, Slug, Time


class GroupTotal(Total):
    """What a group holds in one currency."""

    cost_basis: Number | None
    cost_basis_complete: bool


class GroupedAccount(Shown):
    """A real account under its counted source."""

    real_account_id: Id
    account_id: Id
    connection_id: Id
    provider: Provider
    institution: Slug
    name: str | None
    mask: str | None
    type: str | None
    connection_status: str
    as_of: Time | None
    synced_at: Time | None
    stale: bool
    suspect: bool
    needs_decision: bool


class GroupPart(Shown):
    """A group's part of a position; a position's parts over all groups add up to it exactly."""

    position_id: Id
    instrument_key: str
    ticker: str | None
    type: str
    name: str | None
    currency: Currency
    quantity: Number
    market_value: Number | None
    value_complete: bool
    cost_basis: Number | None
    cost_basis_complete: bool
    contributions: Annotated[int, Field(description="How many counted sources the part is made of.")]
    stale: bool
    proxy_for: ProxyFor = None


class Group(Shown):
    """The positions, or parts of them, that belong together."""

    key: Annotated[str, Field(description="The real account's id, else the word grouped by.")]
    name: Annotated[str, Field(description="What to call it.")]
    account: Annotated[GroupedAccount | None, Field(description="Only where grouped by account.")] = None
    positions: int
    stale: bool
    totals: list[GroupTotal]
    base: Annotated[BaseTotal | None, Field(description=ASKED)] = None
    parts: list[GroupPart]


class PositionGroups(Shown):
    """A page of whole groups; the answer where `group_by` was asked for."""

    portfolio_id: Id
    version: int
    synced_at: Time | None
    group_by: Literal["account", "provider", "type", "currency"]
    groups: list[Group]
    next_cursor: Cursor
    base: Annotated[BaseTotal | None, Field(description="Over all groups, of every page. " + ASKED)] = None
