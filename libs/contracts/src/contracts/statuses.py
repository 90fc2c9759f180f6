"""States and the moves allowed between them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

S = TypeVar("S", bound=StrEnum)


class ConnectionStatus(StrEnum):
    """How a connection stands at the provider."""

    ACTIVE = "active"
    STALE_CACHE = "stale_cache"
    """The provider answers, but from its cache: the connection to the broker is disabled."""
    BROKEN = "broken"
    """The user must repair it; data no longer moves."""
    REVOKED = "revoked"
    REMOVED = "removed"


CONNECTION_MOVES: dict[ConnectionStatus, frozenset[ConnectionStatus]] = {
    ConnectionStatus.ACTIVE: frozenset(
        {
            ConnectionStatus.STALE_CACHE,
            ConnectionStatus.BROKEN,
            ConnectionStatus.REVOKED,
            ConnectionStatus.REMOVED,
        }
    ),
    ConnectionStatus.STALE_CACHE: frozenset(
        {
            ConnectionStatus.ACTIVE,
            ConnectionStatus.BROKEN,
            ConnectionStatus.REVOKED,
            ConnectionStatus.REMOVED,
        }
    ),
    ConnectionStatus.BROKEN: frozenset(
        {
            ConnectionStatus.ACTIVE,
            ConnectionStatus.STALE_CACHE,
            ConnectionStatus.REVOKED,
            ConnectionStatus.REMOVED,
        }
    ),
    ConnectionStatus.REVOKED: frozenset({ConnectionStatus.ACTIVE, ConnectionStatus.REMOVED}),
    ConnectionStatus.REMOVED: frozenset(),
}


class LinkStatus(StrEnum):
    """How far a link session has come."""

    PENDING = "pending"
    """The user has not finished at the provider."""
    COMPLETING = "completing"
    """The user finished; the connection is being fetched."""
    COMPLETED = "completed"
    ABANDONED = "abandoned"
    FAILED = "failed"
    EXPIRED = "expired"


LINK_MOVES: dict[LinkStatus, frozenset[LinkStatus]] = {
    LinkStatus.PENDING: frozenset(
        {
            LinkStatus.COMPLETING,
            LinkStatus.COMPLETED,
            LinkStatus.ABANDONED,
            LinkStatus.FAILED,
            LinkStatus.EXPIRED,
        }
    ),
    LinkStatus.COMPLETING: frozenset(
        {
            LinkStatus.PENDING,
            LinkStatus.COMPLETED,
            LinkStatus.ABANDONED,
            LinkStatus.FAILED,
            LinkStatus.EXPIRED,
        }
    ),
    LinkStatus.COMPLETED: frozenset(),
    LinkStatus.ABANDONED: frozenset({LinkStatus.COMPLETING, LinkStatus.COMPLETED}),
    LinkStatus.FAILED: frozenset({LinkStatus.COMPLETING, LinkStatus.COMPLETED}),
    LinkStatus.EXPIRED: frozenset({LinkStatus.COMPLETING, LinkStatus.COMPLETED}),
}
"""A late proof of success (a webhook after the user closed the page) outranks every sad ending."""


class SyncStatus(StrEnum):
    """How a sync run ended."""

    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"


def may_move(moves: Mapping[S, frozenset[S]], old: S, new: S) -> bool:
    """Whether a thing in state ``old`` may become ``new``; staying as it is always may."""
    return old == new or new in moves[old]
