"""What has outlived its retention goes, in small transactions."""

from datetime import datetime, timedelta
from typing import LiteralString

from gateway.decisions import once
from gateway.ledger.operator import as_operator
from gateway.settings import GatewaySettings
from persistence.database import Database

BATCH = 1000
_KEYS: LiteralString = """
DELETE FROM gateway.idempotency_keys WHERE (user_id, actor, action, key) IN (
    SELECT user_id, actor, action, key FROM gateway.idempotency_keys WHERE created_at < %s LIMIT %s)
"""
_EVENTS: LiteralString = """
DELETE FROM gateway.stream_events WHERE id IN (SELECT id FROM gateway.stream_events WHERE at < %s LIMIT %s)
"""
_SESSIONS: LiteralString = """
DELETE FROM gateway.link_sessions WHERE (user_id, id) IN (
    SELECT user_id, id FROM gateway.link_sessions
    WHERE status NOT IN ('pending', 'completing') AND updated_at < %s LIMIT %s)
"""
_OUTCOMES: LiteralString = """
DELETE FROM gateway.link_outcomes WHERE id IN (SELECT id FROM gateway.link_outcomes WHERE at < %s LIMIT %s)
"""
OUTCOMES_KEPT = timedelta(days=30)


async def purge(database: Database, settings: GatewaySettings, now: datetime) -> int:
    """Delete old idempotency keys, stream events, ended link sessions and link outcomes; how many rows went."""
    sessions = timedelta(days=settings.link_retention_days)
    ages: list[tuple[LiteralString, timedelta]] = [
        (_KEYS, once.RETENTION),
        (_EVENTS, timedelta(hours=settings.stream_retention_hours)),
        (_SESSIONS, sessions),
        (_OUTCOMES, OUTCOMES_KEPT),
    ]
    return sum([await _deleted(database, statement, now - age) for statement, age in ages])


async def _deleted(database: Database, statement: LiteralString, before: datetime) -> int:
    total = 0
    while True:
        async with database.transaction() as conn:
            await as_operator(conn)
            gone = (await conn.execute(statement, (before, BATCH))).rowcount
        total += gone
        if gone < BATCH:
            return total
