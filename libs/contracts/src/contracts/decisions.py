"""What people decide about their portfolio: facts like any other, applied whenever and however often they come."""

from datetime import datetime
from enum import StrEnum

from contracts.struct import Record


class IdentityVerdict(StrEnum):
    """What somebody said of two accounts; ``undone`` takes back what was said before."""

    SAME = "same"
    DIFFERENT = "different"
    UNDONE = "undone"


class SnapshotVerdict(StrEnum):
    """What somebody said of a quarantined snapshot."""

    ACCEPT = "accept"
    REJECT = "reject"


class IdentityDecided(Record, frozen=True, kw_only=True):
    """Somebody said whether two accounts are one (``onefolio.identity.decided.v1``).

    ``account_ids`` are two, in order. The newest decision of a pair holds, by ``decided_at``, then by id.
    """

    user_id: str
    decision_id: str
    account_ids: list[str]
    verdict: IdentityVerdict
    decided_by: str
    decided_at: datetime


class SnapshotJudged(Record, frozen=True, kw_only=True):
    """Somebody accepted or rejected a quarantined snapshot (``onefolio.snapshot.judged.v1``).

    ``version`` is the snapshot's. The newest judgement of a version holds, by ``judged_at``, then by id.
    """

    user_id: str
    judgement_id: str
    account_id: str
    version: int
    verdict: SnapshotVerdict
    judged_by: str
    judged_at: datetime


class PortfolioDefined(Record, frozen=True, kw_only=True):
    """A user named a set of accounts, changed it or dropped it (``onefolio.portfolio.defined.v1``).

    It holds every real account that one of ``account_ids`` is a sight of. The highest ``version`` holds.
    """

    user_id: str
    portfolio_id: str
    name: str
    account_ids: list[str]
    deleted: bool
    version: int
    defined_at: datetime


class ConsolidationRequested(Record, frozen=True, kw_only=True):
    """Somebody wants portfolios summed anew (``onefolio.consolidation.requested.v1``); none named means all."""

    user_id: str
    request_id: str
    portfolio_ids: list[str]
    requested_by: str
    requested_at: datetime
