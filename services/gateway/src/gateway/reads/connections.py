"""Connections, as ``portfolio.v_connections`` and ``sync.v_schedule`` publish them, and what a refresh would cost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from contracts.statuses import ConnectionStatus
from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refreshing.offers import Item, offered
from gateway.refusals import not_found
from gateway.settings import GatewaySettings
from persistence.database import Connection, Database
from service_kit.clock import Clock

_ITEM = """json_build_object('id', c.connection_id, 'provider', c.provider, 'institution', c.institution,
    'institution_name', c.institution_name, 'connection_type', c.connection_type, 'status', c.status,
    'status_reason', c.status_reason, 'provider_code', c.provider_code, 'status_at', c.status_at,
    'linked_at', c.linked_at, 'accounts', c.accounts, 'as_of', c.as_of, 'synced_at', c.synced_at,
    'needs_repair', c.status IN ('broken', 'revoked', 'stale_cache'),
    'auto_sync', s.auto_sync, 'frequency_seconds', s.frequency_seconds, 'next_sync_at', s.next_sync_at,
    'last_synced_at', s.last_synced_at, 'syncing', coalesce(s.syncing, false), 'paused_reason', s.paused_reason,
    'error_code', s.error_code, 'realtime', coalesce(s.realtime, false),
    'repair_by', coalesce(s.repair_by, c.repair_by))"""
_FROM = """portfolio.v_connections c
    LEFT JOIN sync.v_schedule s ON s.user_id = c.user_id AND s.connection_id = c.connection_id::text"""
_LIST = f"""
WITH page AS (
    SELECT c.institution, c.connection_id, {_ITEM} AS item,
        row_number() OVER (ORDER BY c.institution, c.connection_id) AS n
    FROM {_FROM}
    WHERE c.user_id = %(user)s AND (%(removed)s OR c.status <> 'removed') AND (%(after_institution)s::text IS NULL
        OR (c.institution, c.connection_id) > (%(after_institution)s, %(after_id)s::uuid))
    ORDER BY c.institution, c.connection_id LIMIT %(limit)s + 1)
SELECT (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    (SELECT {CURSOR_SQL.format(keys="institution, connection_id")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s)
"""  # noqa: S608 - constants of this module
_ONE = f"""
SELECT {_ITEM} FROM {_FROM} WHERE c.user_id = %s AND c.connection_id = %s
"""  # noqa: S608 - a constant of this module


@dataclass(frozen=True, slots=True)
class Readings:
    """What showing connections needs: where they are, what refreshes cost, what time it is."""

    database: Database
    settings: GatewaySettings
    clock: Clock


@dataclass(frozen=True, slots=True)
class KnownConnection:
    """What deciding about a connection needs."""

    connection_id: UUID
    provider: str
    institution: str
    institution_name: str | None
    connection_type: str | None
    status: str

    @property
    def removed(self) -> bool:
        """Whether it is gone at the provider."""
        return self.status == ConnectionStatus.REMOVED


async def page(
    readings: Readings, user_id: str, *, cursor: str | None, limit: int, include_removed: bool
) -> Answer:
    """A page of the user's connections."""
    after = read_cursor(cursor, {"after_institution": str, "after_id": UUID})
    values = {"user": user_id, "limit": limit, "removed": include_removed}
    values |= after or {"after_institution": None, "after_id": None}
    async with readings.database.transaction(user_id) as conn:
        row = await (await conn.execute(_LIST, values)).fetchone()
        items, next_cursor = row or ([], None)
        shown = await _offered(conn, readings, user_id, items)
    return answer(json.dumps({"items": shown, "next_cursor": next_cursor}))


async def one(readings: Readings, user_id: str, connection_id: UUID) -> Answer:
    """One connection.

    Raises:
        ApiError: 404, none of the user's.
    """
    async with readings.database.transaction(user_id) as conn:
        row = await (await conn.execute(_ONE, (user_id, connection_id))).fetchone()
        if row is None:
            raise not_found("connection")
        (shown,) = await _offered(conn, readings, user_id, [row[0]])
    return answer(json.dumps(shown))


async def _offered(conn: Connection, readings: Readings, user_id: str, items: Sequence[Item]) -> list[Item]:
    return await offered(conn, user_id, items, readings.settings, readings.clock.now())


async def known(conn: Connection, user_id: str, connection_id: UUID) -> KnownConnection:
    """The connection, for a decision about it.

    Raises:
        ApiError: 404, none of the user's.
    """
    async with conn.cursor(row_factory=class_row(KnownConnection)) as cursor:
        await cursor.execute(
            """SELECT connection_id, provider, institution, institution_name, connection_type, status
            FROM portfolio.v_connections WHERE user_id = %s AND connection_id = %s""",
            (user_id, connection_id),
        )
        found = await cursor.fetchone()
    if found is None:
        raise not_found("connection")
    return found
