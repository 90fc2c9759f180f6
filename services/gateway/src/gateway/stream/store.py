"""The table ``gateway.stream_events``: numbered in the order in which they become visible, kept for a day.

Whoever deletes old events need not tell: a trigger notes in ``stream_marks`` up to which number they are gone. The
newest number of all is noted there too: who saw everything of theirs can go on from it, however quiet their own days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row
from psycopg.types.json import Json

from gateway.stream.shown import Event
from persistence.database import Database

CHANNEL = "gateway_stream"
# One writer at a time: a number that is given out is visible before the next one is, so no reader passes one over.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('gateway.stream', 0))"
_FOR = "SELECT set_config('app.user_id', %s, true)"
_INSERT = """INSERT INTO gateway.stream_events (user_id, event_id, type, data, at)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT (user_id, event_id) DO NOTHING RETURNING id"""
_NEWEST = """INSERT INTO gateway.stream_marks (one, newest) VALUES (true, %s)
    ON CONFLICT (one) DO UPDATE SET newest = EXCLUDED.newest"""
_READ = """SELECT id, type, data::text AS data FROM gateway.stream_events
    WHERE user_id = %s AND id > %s ORDER BY id LIMIT %s"""
_ENDS = """SELECT coalesce(max(m.forgotten), 0), greatest(coalesce(max(m.forgotten), 0), coalesce(max(m.newest), 0)),
    coalesce((SELECT max(id) FROM gateway.stream_events WHERE user_id = %s), 0) FROM gateway.stream_marks m"""


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as it is kept; ``data`` is JSON text."""

    id: int
    type: str
    data: str


@dataclass(frozen=True, slots=True)
class Ends:
    """Everything after ``oldest`` is kept; ``newest`` is the newest of all users', ``own`` of the user's."""

    oldest: int
    newest: int
    own: int

    def knows(self, number: int) -> bool:
        """Whether a reader who saw this number last can go on from it."""
        return self.oldest <= number <= self.newest


async def keep(database: Database, events: Sequence[Event], now: datetime) -> None:
    """Keep events, each once, and tell every process that shows streams of their users."""
    async with database.transaction() as conn:
        await conn.execute(_LOCK)
        kept = []
        async with conn.pipeline():
            for event in events:
                await conn.execute(_FOR, (event.user_id,))
                row = (event.user_id, event.event_id, event.type, Json(event.data), now)
                kept.append(await conn.execute(_INSERT, row))
            for user_id in sorted({event.user_id for event in events}):
                await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, user_id))
        numbers = [row[0] for cursor in kept for row in await cursor.fetchall()]
        if numbers:
            await conn.execute(_NEWEST, (max(numbers),))


async def after(database: Database, user_id: str, number: int, limit: int) -> list[Kept]:
    """The user's next events, at most ``limit``."""
    async with database.transaction(user_id, rows=class_row(Kept)) as conn:
        return await (await conn.execute(_READ, (user_id, number, limit))).fetchall()


async def ends(database: Database, user_id: str) -> Ends:
    """What is kept of the user's stream."""
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_ENDS, (user_id,))).fetchone()
    return Ends(*row) if row else Ends(0, 0, 0)
