"""The portfolio: consolidated positions and the summary."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.values import (
    Capabilities,
    Currency,
    Cursor,
    Id,
    Instrument,
    Number,
    Provider,
    Shown,
    Time,
)

ASKED = "Only where `base` was asked for."
ProxyFor = Annotated[
    str | None, Field(description="The instrument really held; only where cash proxies are in force.")
]


class Contribution(Shown):
    """One counted source's part of a position; the parts sum to the position exactly."""

    real_account_id: Id
    account_id: Id
    provider: Provider
    quantity: Number
    market_value: Number | None
    cost_basis: Number | None
    as_of: Time | None
    version: int
    instrument_id: Annotated[Id, Field(description="The description this source gave of the instrument.")]
    price: Number | None
    price_as_of: Time | None
    synced_at: Time | None
    snapshot_id: Annotated[Id | None, Field(description="`GET /v1/snapshots/{id}` shows it.")]
    content_hash: str | None


class Exclusion(Shown):
    """A duplicate sight of a real account that was not counted, and the rule that excluded it."""

    real_account_id: Id
    account_id: Id
    provider: Provider
    quantity: Number
    market_value: Number | None
    cost_basis: Number | None
    instrument_id: Annotated[Id, Field(description="The description this source gave of the instrument.")]
    counted_account_id: Id
    rule: str


class Total(Shown):
    """A sum in one currency; not whole unless `complete`."""

    currency: Currency
    market_value: Number
    complete: bool
    positions: int


class Converted(Shown):
    """What is held in one currency, and what that is in the base at this rate."""

    currency: Currency
    rate: Annotated[Number, Field(description="What one unit is worth in the base.")]
    as_of: Annotated[Time | None, Field(description="When the rate was true; null for the base in itself.")]
    source: str
    market_value: Number
    in_base: Annotated[Number, Field(description="Rounded to ten places; these add up to the sum.")]


class BaseTotal(Shown):
    """A sum in the base currency, of what has a rate; not whole unless `complete`."""

    currency: Currency
    market_value: Number
    complete: bool
    rates: list[Converted]
    without_rate: Annotated[
        list[Total], Field(description="What could not be converted, and is not in the sum.")
    ]
    hint: str | None


class BaseValue(Shown):
    """A position's value in the base currency; null where there is no rate or no value."""

    currency: Currency
    rate: Number | None
    market_value: Number | None


class PositionHead(Shown):
    """A position without the parts it is made of."""

    id: Id
    portfolio_id: Id
    instrument: Instrument
    ticker: str | None
    type: str
    name: str | None
    currency: Currency
    quantity: Number
    price: Number | None
    price_as_of: Time | None
    market_value: Number | None
    value_complete: bool
    cost_basis: Number | None
    cost_basis_complete: bool
    provider: Annotated[Provider, Field(description="Whose price and capabilities these are.")]
    account_id: Id
    position_source: Annotated[str, Field(description="The provider, or `consolidated` for several parts.")]
    position_status: Literal["current", "stale"]
    stale: bool
    as_of: Annotated[Time | None, Field(description="Of its oldest contributor.")]
    last_consolidation_at: Time
    capabilities: Capabilities


class Position(PositionHead):
    """What the user holds of one instrument over all real accounts.

    Where `value_complete` or `cost_basis_complete` is false, a contributor does not know its part: the sum is of
    those that do and must not be shown as whole.
    """

    contributions: list[Contribution]
    excluded: list[Exclusion]
    proxy_for: ProxyFor = None
    base: Annotated[BaseValue | None, Field(description=ASKED)] = None


class PositionPage(Shown):
    """A page of a portfolio's positions."""

    portfolio_id: Id
    version: Annotated[int, Field(description="Moves when a position changes.")]
    synced_at: Annotated[Time | None, Field(description="Of the newest snapshot.")]
    items: list[Position]
    next_cursor: Cursor
    base: Annotated[BaseTotal | None, Field(description="Over all pages. " + ASKED)] = None


class TypeTotal(Total):
    """A sum over one type of instrument in one currency."""

    type: str


class ProviderTotal(Total):
    """A sum over what one provider contributes in one currency."""

    provider: Provider


class PositionCounts(Shown):
    """How many positions there are, and how many deserve a remark."""

    total: int
    stale: int
    incomplete: int
    excluded_duplicates: int


class AccountCounts(Shown):
    """How many provider accounts there are, and how many deserve a remark."""

    total: int
    counted: int
    stale: int
    suspect: int
    needs_decision: int


class Attention(Shown):
    """The provider accounts that somebody should look at."""

    quarantined: Annotated[list[Id], Field(description="Their newest snapshot waits to be confirmed.")]
    waiting: Annotated[list[Id], Field(description="Not described by their provider yet, so not counted.")]
    needs_decision: Annotated[list[Id], Field(description="Somebody must say whether two are one.")]


class Freshness(Shown):
    """The two clocks: what the provider read, and what we read."""

    oldest_as_of: Time | None
    newest_synced_at: Time | None


class Break(Shown):
    """A real account whose holdings do not add up to the provider's own total."""

    real_account_id: Id
    account_id: Id
    reason: str
    counted: Number | None
    expected: Number | None
    difference: Number | None
    currency: Currency | None
    checked_at: Time


class Checks(Shown):
    """The conservation checks."""

    ok: int
    # the word is a keyword of Python, not of the wire
    break_: Annotated[int, Field(alias="break")]
    unknown: int
    breaks: list[Break]


class Summary(Shown):
    """The portfolio at a glance."""

    portfolio_id: Id
    version: int
    changed_at: Time | None
    totals: list[Total]
    by_type: list[TypeTotal]
    by_provider: list[ProviderTotal]
    positions: PositionCounts
    accounts: AccountCounts
    attention: Attention
    connections: Annotated[dict[str, int], Field(description="Connections by status.")]
    freshness: Freshness
    checks: Checks
    base: Annotated[BaseTotal | None, Field(description=ASKED)] = None
