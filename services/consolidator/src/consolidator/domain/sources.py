"""One counted source per real account, and the rule that excluded each of the others.

Failing over is immediate; going back waits until the better source has been healthy for a while. Both follow from
stored facts and the time alone: nothing is remembered of what was counted before.
"""

from datetime import datetime

from consolidator.domain.values import Account, Connection, Held, SourcePolicy
from contracts.statuses import ConnectionStatus
from contracts.struct import Record

UNUSABLE = frozenset(
    {
        ConnectionStatus.STALE_CACHE,
        ConnectionStatus.BROKEN,
        ConnectionStatus.REVOKED,
        ConnectionStatus.REMOVED,
    }
)
"""A connection that answers from its cache alone is a broken one that does not say so."""
EXPIRING = "expiring"
"""The reason of a change that says no more than when access will end."""


class Source(Record, frozen=True, kw_only=True):
    """One sight of a real account that has a good snapshot."""

    account_id: str
    provider: str
    as_of: datetime
    problem: str | None
    """Why it is not healthy, ``None`` when it is."""
    recovers_at: datetime | None = None
    """Until when it is healthy again but not preferred; ``None`` when it is not recovering."""

    @property
    def ready(self) -> bool:
        """Whether it is healthy, and has been for long enough."""
        return self.problem is None and self.recovers_at is None


class Choice(Record, frozen=True, kw_only=True):
    """The counted source, why it is counted, and why the others are not.

    ``held_back_until`` is when a better source has recovered and takes over, ``due_at`` when the next of all
    has recovered.
    """

    counted: Source | None
    reason: str
    stale: bool
    excluded: tuple[tuple[str, str], ...]
    held_back_until: datetime | None = None
    due_at: datetime | None = None


Rank = tuple[int, float, str]


def source(
    account: Account, held: Held, connection: Connection | None, now: datetime, policy: SourcePolicy
) -> Source | None:
    """The account as a source, or ``None`` while it has no good snapshot."""
    if held.current is None:
        return None
    return Source(
        account_id=account.account_id,
        provider=account.provider,
        as_of=held.current.as_of,
        problem=_problem(held, connection, now, policy),
        recovers_at=_recovers_at(held, connection, now, policy),
    )


def choose(sources: list[Source], policy: SourcePolicy) -> Choice:
    """Choose the counted source of one real account; the order of ``sources`` does not matter.

    The healthy one of highest provider priority, then the fresher, then the lower id; one that recovers only
    when there is no other. When none is healthy the freshest stays counted, and is stale.
    """
    if not sources:
        return Choice(counted=None, reason="no_snapshot", stale=False, excluded=())
    ranked = sorted(sources, key=lambda one: _rank(one, policy))
    healthy = [one for one in ranked if one.problem is None]
    ready = [one for one in healthy if one.ready]
    if healthy:
        counted = (ready or healthy)[0]
        better = ranked[: ranked.index(counted)]
        reason = _reason(counted, better, ranked, policy)
    else:
        counted = min(
            sources, key=lambda one: (_newest_first(one), -policy.priority(one.provider), one.account_id)
        )
        better, reason = [], f"freshest_of_unhealthy:{counted.problem}"
    others = sorted((one for one in sources if one is not counted), key=lambda one: one.account_id)
    return Choice(
        counted=counted,
        reason=reason,
        stale=not healthy,
        excluded=tuple((one.account_id, _rule(one, counted, policy)) for one in others),
        held_back_until=_first_recovery(better),
        due_at=_first_recovery(healthy),
    )


def _problem(held: Held, connection: Connection | None, now: datetime, policy: SourcePolicy) -> str | None:
    status = connection.status.status if connection and connection.status else None
    if status is not None and status in UNUSABLE:
        return f"connection_{status.value}"
    if held.quarantine is not None:
        return "quarantined"
    if held.current is not None and now - held.current.as_of >= policy.max_age:
        return "too_old"
    return None


def _recovers_at(
    held: Held, connection: Connection | None, now: datetime, policy: SourcePolicy
) -> datetime | None:
    """When it has been healthy for long enough; ``None`` when it has, or never was anything else."""
    mark = connection.status if connection else None
    # Being linked, or about to expire, says that a connection is active as well: only a change to it is a recovery.
    active = mark is not None and mark.status is ConnectionStatus.ACTIVE
    repaired = mark.at if mark and active and not mark.linked and mark.reason != EXPIRING else None
    since = max((at for at in (held.trusted_since, repaired) if at is not None), default=None)
    if since is None or now >= since + policy.hysteresis:
        return None
    return since + policy.hysteresis


def _first_recovery(sources: list[Source]) -> datetime | None:
    """When the first of these that recover has recovered."""
    waiting = [one.recovers_at for one in sources if one.problem is None and one.recovers_at is not None]
    return min(waiting, default=None)


def _rank(one: Source, policy: SourcePolicy) -> Rank:
    return (-policy.priority(one.provider), _newest_first(one), one.account_id)


def _newest_first(one: Source) -> float:
    return -one.as_of.timestamp()


def _reason(counted: Source, better: list[Source], ranked: list[Source], policy: SourcePolicy) -> str:
    """Why a healthy source is counted, in view of the ones that rank before it."""
    if len(ranked) == 1:
        return "only_source"
    recovering = [one for one in better if one.problem is None]
    if recovering:
        return f"held_back:{recovering[0].account_id}"
    if better:
        return f"failover:{better[0].problem}"
    others = [one for one in ranked if one is not counted]
    priority = policy.priority(counted.provider)
    if any(policy.priority(one.provider) == priority and one.problem is None for one in others):
        return "freshest_of_equals"
    return "highest_priority"


def _rule(other: Source, counted: Source, policy: SourcePolicy) -> str:
    if other.problem is not None and counted.problem is None:
        return f"unhealthy:{other.problem}"
    if counted.problem is not None:
        return "older_of_unhealthy"
    if other.recovers_at is not None and counted.recovers_at is None:
        return "recovering"
    if policy.priority(other.provider) < policy.priority(counted.provider):
        return "lower_priority"
    return "same_priority_older" if other.as_of < counted.as_of else "same_priority_and_age"
