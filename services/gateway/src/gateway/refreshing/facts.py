"""What deciding about refreshes needs to know of a user's connections, in one query."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from contracts.errors import ErrorCode
from contracts.statuses import ConnectionStatus
from gateway.guards.prices import PriceList, Terms
from gateway.guards.refresh import Past
from gateway.manual.instruments import PROVIDER as MANUAL
from persistence.database import Connection

UNSUPPORTED_FOR = timedelta(days=7)
"""How long it is believed that a provider cannot refresh a connection."""
_BROKEN = frozenset({ConnectionStatus.BROKEN, ConnectionStatus.REVOKED, ConnectionStatus.STALE_CACHE})
_FACTS = """
SELECT c.connection_id, c.provider, c.institution, c.institution_name, c.status,
    coalesce(s.realtime, false) AS realtime,
    s.connection_id IS NOT NULL AND s.last_synced_at IS NULL AS unread, p.paid_at, p.tried_at, p.unsupported_at, f.requested_at AS read_at
FROM portfolio.v_connections c
LEFT JOIN sync.v_schedule s ON s.user_id = c.user_id AND s.connection_id = c.connection_id::text
LEFT JOIN gateway.free_refreshes f ON f.user_id = c.user_id AND f.connection_id = c.connection_id
LEFT JOIN LATERAL (
    SELECT max(p.requested_at) FILTER (WHERE p.state <> 'released') AS paid_at, max(p.requested_at) AS tried_at,
        max(p.requested_at) FILTER (WHERE p.error_code = 'NOT_SUPPORTED') AS unsupported_at
    FROM gateway.provider_charges p
    WHERE p.user_id = c.user_id AND p.connection_id = c.connection_id AND p.kind = 'refresh') p ON true
WHERE c.user_id = %(user)s AND (%(ids)s::uuid[] IS NULL OR c.connection_id = ANY(%(ids)s))
ORDER BY c.institution, c.connection_id
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A connection and its earlier refreshes."""

    connection_id: UUID
    provider: str
    institution: str
    institution_name: str | None
    status: str
    realtime: bool
    unread: bool
    """Its first read has not ended: there is nothing to fetch anew, and nobody knows yet whether it is live."""
    paid_at: datetime | None
    tried_at: datetime | None
    unsupported_at: datetime | None
    read_at: datetime | None

    @property
    def past(self) -> Past:
        """Its earlier refreshes."""
        return Past(paid_at=self.paid_at, tried_at=self.tried_at, read_at=self.read_at)

    def terms(self, prices: PriceList, now: datetime) -> Terms:
        """On which terms it is refreshed."""
        since = self.unsupported_at
        unsupported = since is not None and now - since < UNSUPPORTED_FOR
        free = self.realtime or self.unread
        return prices.terms(self.provider, realtime=free, unsupported=unsupported)

    def obstacle(self, connectors: Collection[str]) -> "Obstacle | None":
        """Why no refresh can help, whatever it costs."""
        if self.provider == MANUAL:
            return Obstacle("entered_by_hand", ErrorCode.CONFLICT)
        if self.status == ConnectionStatus.REMOVED:
            return Obstacle("removed", ErrorCode.CONNECTION_GONE)
        if self.status in _BROKEN:
            return Obstacle("needs_repair", ErrorCode.CONNECTION_BROKEN)
        if self.provider not in connectors:
            return Obstacle("provider_disabled", ErrorCode.PROVIDER_DISABLED)
        return None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a connection cannot be refreshed."""

    reason: str
    code: ErrorCode


async def facts(conn: Connection, user_id: str, ids: Collection[UUID] | None = None) -> list[Known]:
    """The user's connections, by institution; all of them, or those of ``ids`` that are the user's."""
    values = {"user": user_id, "ids": None if ids is None else list(ids)}
    async with conn.cursor(row_factory=class_row(Known)) as cursor:
        await cursor.execute(_FACTS, values)
        return await cursor.fetchall()
