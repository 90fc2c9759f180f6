"""One counted source per real account, and the rule that excluded each of the others."""

from datetime import datetime, timedelta

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


class Source(Record, frozen=True, kw_only=True):
    """One sight of a real account that has a good snapshot."""

    account_id: str
    provider: str
    as_of: datetime
    problem: str | None
    """Why it is not healthy, ``None`` when it is."""


class Choice(Record, frozen=True, kw_only=True):
    """The counted source, why it is counted, and why the others are not."""

    counted: Source | None
    reason: str
    stale: bool
    excluded: tuple[tuple[str, str], ...]


def source(
    account: Account, held: Held, connection: Connection | None, now: datetime, age: timedelta
) -> Source | None:
    """The account as a source, or ``None`` while it has no good snapshot."""
    if held.current is None:
        return None
    problem = _problem(held, connection, now, age)
    return Source(
        account_id=account.account_id, provider=account.provider, as_of=held.current.as_of, problem=problem
    )


def choose(sources: list[Source], policy: SourcePolicy) -> Choice:
    """Choose the counted source of one real account; the order of ``sources`` does not matter.

    The healthy one of highest provider priority, then the fresher, then the lower id. When none is
    healthy the freshest stays counted, and is stale.
    """
    if not sources:
        return Choice(counted=None, reason="no_snapshot", stale=False, excluded=())
    healthy = [one for one in sources if one.problem is None]
    if healthy:
        counted = min(
            healthy, key=lambda one: (-policy.priority(one.provider), _newest_first(one), one.account_id)
        )
        reason = "only_source" if len(sources) == 1 else "highest_priority"
    else:
        counted = min(
            sources, key=lambda one: (_newest_first(one), -policy.priority(one.provider), one.account_id)
        )
        reason = f"freshest_of_unhealthy:{counted.problem}"
    others = sorted((one for one in sources if one is not counted), key=lambda one: one.account_id)
    return Choice(
        counted=counted,
        reason=reason,
        stale=not healthy,
        excluded=tuple((one.account_id, _rule(one, counted, policy)) for one in others),
    )


def _problem(held: Held, connection: Connection | None, now: datetime, age: timedelta) -> str | None:
    status = connection.status.status if connection and connection.status else None
    if status is not None and status in UNUSABLE:
        return f"connection_{status.value}"
    if held.quarantine is not None:
        return "quarantined"
    if held.current is not None and now - held.current.as_of >= age:
        return "too_old"
    return None


def _newest_first(one: Source) -> float:
    return -one.as_of.timestamp()


def _rule(other: Source, counted: Source, policy: SourcePolicy) -> str:
    if other.problem is not None and counted.problem is None:
        return f"unhealthy:{other.problem}"
    if counted.problem is not None:
        return "older_of_unhealthy"
    if policy.priority(other.provider) < policy.priority(counted.provider):
        return "lower_priority"
    return "same_priority_older" if other.as_of < counted.as_of else "same_priority_and_age"
