"""Link sessions nobody looks at: completed without the browser, or closed when their time is over."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from gateway.context import Gateway
from gateway.ledger.operator import as_operator
from gateway.linking import progress
from persistence.database import Database, DatabaseUnavailable

log = structlog.get_logger(__name__)

BATCH = 50
SIDE_BY_SIDE = 5
"""Few, for people who wait for their own sessions go first."""


async def look_after(gateway: Gateway) -> int:
    """Ask how open sessions stand that nobody has asked about for a while; how many were looked at.

    A session whose time is over is asked about once more, and then closed. One that cannot be settled keeps none of the
    others from it.

    Raises:
        ExceptionGroup: the database is away.
    """
    now = gateway.clock.now()
    every = timedelta(seconds=gateway.settings.link_poll_seconds)
    found = await waiting(gateway.database, now, every)
    few = asyncio.Semaphore(SIDE_BY_SIDE)

    async def look(user_id: str, session_id: UUID) -> bool:
        async with few:
            return await _looked_at(gateway, user_id, session_id)

    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(look(user_id, session_id)) for user_id, session_id in found]
    return sum(one.result() for one in looks)


async def _looked_at(gateway: Gateway, user_id: str, session_id: UUID) -> bool:
    try:
        await progress.current(gateway, user_id, session_id)
    except DatabaseUnavailable:
        raise
    except Exception as error:
        log.exception("upkeep.session_failed", session_id=str(session_id), error=type(error).__name__)
        return False
    return True


async def waiting(database: Database, now: datetime, every: timedelta) -> list[tuple[str, UUID]]:
    """Open sessions (user, id) that ran out, or were not asked about for so long; the most neglected first."""
    async with database.transaction() as conn:
        await as_operator(conn)
        cursor = await conn.execute(
            """SELECT user_id, id FROM gateway.link_sessions
            WHERE status IN ('pending', 'completing')
                AND (expires_at <= %(now)s OR coalesce(checked_at, created_at) <= %(now)s - %(every)s::interval)
            ORDER BY coalesce(checked_at, created_at) LIMIT %(limit)s""",
            {"now": now, "every": every, "limit": BATCH},
        )
        return [(row[0], row[1]) for row in await cursor.fetchall()]
