"""What people decide: which accounts are one, and what becomes of quarantined snapshots."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.decisions import SnapshotVerdict
from gateway.decisions.identity import Wish
from gateway.schemas.values import Currency, Cursor, Id, Money, Number, Provider, Shown, Slug, Taken, Time

Status = Annotated[
    Literal["applied", "pending"],
    Field(description="`pending` (202): it is kept and told, and what follows from it does not show yet."),
]
Version = Annotated[int, Field(ge=0, le=2**63 - 1, description="A snapshot's version.", examples=[4])]
DecidedBy = Annotated[
    str, Field(description="`user:` or `admin:` and who it was.", examples=["user:alice", "admin:root"])
]


class IdentityBody(Taken):
    """What you say of this account and another; `undo` takes back what was said of the two."""

    verdict: Wish
    other_account_id: Annotated[str, Field(max_length=64, description="An account of yours.")]


class JudgementBody(Taken):
    """What becomes of a quarantined snapshot: `accept` it ("yes, I sold everything"), or `reject` it."""

    verdict: SnapshotVerdict
    version: Annotated[Version, Field(strict=True)]


class Standing(Shown):
    """Which real account an account belongs to."""

    account_id: Id
    real_account_id: Id | None


class IdentityDecision(Shown):
    """A decision that was taken, and how the two accounts stand now."""

    decision_id: Id
    verdict: Wish
    status: Status
    account_ids: Annotated[list[Id], Field(description="The two accounts, in order.")]
    accounts: list[Standing]
    same_real_account: Annotated[
        bool,
        Field(description="A `same` that others contradict (one connection shows both) joins nothing."),
    ]


class Sight(Shown):
    """An account as one connection reports it: one sight of a real account."""

    account_id: Id
    connection_id: Id
    provider: Provider
    institution: Slug
    name: str | None
    mask: str | None
    type: str | None
    currency: Currency | None
    real_account_id: Id | None
    counted: bool
    rule: Annotated[str | None, Field(description="Why it is counted, or why it is not.")]


class Evidence(Shown):
    """What speaks for and against this account and another being one."""

    account: Sight
    verdict: Literal["same", "different", "needs_decision"]
    rule: Annotated[str, Field(examples=["score", "stable_id", "decision"])]
    score: Number
    reasons: Annotated[list[str], Field(description="Each with the points it is worth.")]


class PastDecision(Shown):
    """What somebody said of a pair of accounts; the newest of the pair holds."""

    decision_id: Id
    account_ids: list[Id]
    verdict: Literal["same", "different", "undone"]
    decided_by: DecidedBy
    decided_at: Time
    holds: bool


class Identity(Shown):
    """The real account that an account belongs to, and everything that says so."""

    account_id: Id
    real_account_id: Id | None
    needs_decision: Annotated[bool, Field(description="Until somebody decides, one of them is counted.")]
    members: list[Sight]
    evidence: list[Evidence]
    decisions: Annotated[list[PastDecision], Field(description="Newest first.")]


class PendingPair(Shown):
    """Two accounts that may be one; until somebody decides, one of them is counted."""

    real_account_id: Id
    accounts: list[Sight]
    verdict: Literal["needs_decision"]
    rule: str
    score: Number
    reasons: list[str]


class PendingPairs(Shown):
    """A page of the pairs that wait for a decision."""

    items: list[PendingPair]
    next_cursor: Cursor


class Snapshot(Shown):
    """What an account was seen to hold at one moment."""

    snapshot_id: Id
    version: Version
    content_hash: str
    as_of: Time
    synced_at: Time
    first_synced_at: Annotated[Time | None, Field(description="When its quarantine began.")]
    holdings: int
    value: Annotated[Money | None, Field(description="Of the holdings that have a price.")]
    unpriced: int


class Change(Shown):
    """What would change in one row; `new_quantity` is null where it would vanish, `quantity` where it is new."""

    instrument_key: Annotated[str, Field(examples=["AAPL"])]
    currency: Currency
    quantity: Number | None
    new_quantity: Number | None
    market_value: Number | None
    new_market_value: Number | None


class Judgement(Shown):
    """What somebody said of a quarantined snapshot."""

    judgement_id: Id
    version: Version
    verdict: SnapshotVerdict
    judged_by: DecidedBy
    judged_at: Time


class Quarantine(Shown):
    """An account's quarantined snapshot beside the current one; both null where there is none."""

    account_id: Id
    current: Snapshot | None
    quarantined: Snapshot | None
    vanishing: Annotated[int, Field(description="Rows that would be gone.")]
    changes: Annotated[list[Change], Field(description="The first 1000, the largest values first.")]
    changes_total: int
    judgements: Annotated[list[Judgement], Field(description="Newest first.")]


class Quarantined(Shown):
    """An account that has a quarantined snapshot."""

    account: Sight
    quarantined: Snapshot
    current: Snapshot | None


class QuarantinedPage(Shown):
    """A page of accounts that have a quarantined snapshot."""

    items: list[Quarantined]
    next_cursor: Cursor


class SnapshotJudgement(Shown):
    """A judgement that was given, and how the snapshot stands now."""

    judgement_id: Id
    account_id: Id
    version: Version
    verdict: SnapshotVerdict
    status: Status
    state: Annotated[
        Literal["current", "quarantined", "superseded", "rejected"] | None,
        Field(description="Of the snapshot; null once it is no longer kept."),
    ]
