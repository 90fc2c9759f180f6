"""Explanations: what a position is made of, and the evidence it rests on."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.accounts import Check
from gateway.schemas.portfolio import PositionHead
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

Meaning = Annotated[str | None, Field(description="The same in words.")]
State = Literal["current", "quarantined", "superseded", "rejected"]


class RealAccount(Shown):
    """An account as it exists at the institution, under the name this source gives it."""

    id: Id
    institution: Slug | None
    institution_name: str | None
    name: str | None
    mask: str | None
    needs_decision: bool
    stale: bool


class Clocks(Shown):
    """When the provider read it, when it was priced, and when we read it."""

    as_of: Time | None
    price_as_of: Time | None
    synced_at: Time | None


class SnapshotOf(Shown):
    """The stored snapshot a part was read from; `GET /v1/snapshots/{id}` shows it."""

    id: Id
    content_hash: str
    version: int
    state: Annotated[State | None, Field(description="Null where it is not kept.")]
    agrees: Annotated[bool, Field(description="Whether its content holds this quantity of this instrument.")]


class Because(Shown):
    """Why this source is the counted one."""

    reason: str
    meaning: Meaning
    until: Annotated[Time | None, Field(description="When a better source takes over, if one recovers.")]


class Switch(Shown):
    """The last time another source came to be counted."""

    at: Time
    from_account_id: Id | None
    to_account_id: Id | None
    reason: str
    meaning: Meaning


class Sighting(Shown):
    """What one source shows of the position's instrument."""

    real_account: RealAccount
    account_id: Id
    connection_id: Id | None
    connection_status: str | None
    provider: Provider
    quantity: Number
    market_value: Number | None
    cost_basis: Number | None
    price: Number | None
    clocks: Clocks


class ExplainedContribution(Sighting):
    """A part that is summed: the counted source of one real account."""

    instrument: Annotated[Instrument, Field(description="As this source describes it.")]
    snapshot: SnapshotOf | None
    counted_because: Because
    last_switch: Switch | None


class ExplainedExclusion(Sighting):
    """Another sight of the same real account, which is not summed."""

    instrument: Annotated[Instrument | None, Field(description="As this source describes it.")]
    snapshot: SnapshotOf | None
    counted_account_id: Id
    rule: str
    meaning: Meaning


class Sums(Shown):
    """The contributions added up; `exact` where that is the stored position, to the last digit."""

    quantity: Number
    market_value: Number | None
    value_complete: bool
    cost_basis: Number | None
    cost_basis_complete: bool
    exact: bool


class PairDecision(Shown):
    """What somebody decided of a pair."""

    id: Id
    verdict: Literal["same", "different"]
    decided_by: str
    decided_at: Time


class Pair(Shown):
    """Two provider accounts of one real account, and why they are taken for one."""

    account_id: Id
    other_account_id: Id
    verdict: Literal["same", "different", "needs_decision"]
    rule: str
    meaning: Meaning
    score: Number
    reasons: list[str]
    decision: PairDecision | None


class IdentityEvidence(Shown):
    """A real account that is seen through several connections."""

    real_account_id: Id
    account_ids: list[Id]
    needs_decision: bool
    pairs: list[Pair]


class ExplainedCheck(Check):
    """The conservation check of one real account."""

    real_account_id: Id
    meaning: Meaning


class Explanation(Shown):
    """How a position came to be."""

    position: PositionHead
    rule: Annotated[str, Field(description="The rule of consolidation, in words.")]
    contributions: list[ExplainedContribution]
    excluded: list[ExplainedExclusion]
    sums: Sums
    identity: list[IdentityEvidence]
    checks: list[ExplainedCheck]


class CheckPage(Shown):
    """A page of conservation checks."""

    items: list[ExplainedCheck]
    next_cursor: Cursor


class SnapshotHead(Shown):
    """A complete snapshot of one provider account."""

    id: Id
    account_id: Id
    version: Annotated[int, Field(description="Later runs have higher ones.")]
    content_hash: Annotated[str, Field(description="Equal where the holdings are.")]
    state: State
    as_of: Time | None
    synced_at: Time | None
    first_synced_at: Annotated[Time | None, Field(description="Of a quarantine: when it was first seen so.")]
    holdings: int
    value: Annotated[Money | None, Field(description="What its priced holdings add up to.")]
    unpriced: int


class SnapshotLine(Shown):
    """One holding of a snapshot."""

    instrument_id: Id
    instrument_key: str
    currency: Currency
    quantity: Number
    price: Number | None
    market_value: Number | None
    cost_basis: Number | None
    price_as_of: Time | None
    cash_equivalent: bool


class StoredSnapshot(SnapshotHead):
    """A stored snapshot with its content."""

    provider: Provider
    institution: Slug
    content: list[SnapshotLine]


class StoredSnapshotPage(Shown):
    """A page of an account's snapshots."""

    account_id: Id
    items: list[SnapshotHead]
    next_cursor: Cursor
