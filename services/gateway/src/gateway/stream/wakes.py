"""Who waits for which user's events, and the one connection per process that hears of new ones."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from psycopg import sql

from gateway.stream.store import CHANNEL
from persistence.database import Database, DatabaseUnavailable

log = structlog.get_logger(__name__)

AGAIN_AFTER = 1.0


class Wakes:
    """Wakes the open streams of a user when something of theirs was kept, by whichever process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    def open(self, user_id: str) -> int:
        """How many streams of the user are open here."""
        return len(self._waiting.get(user_id, ()))

    @contextmanager
    def waiting(self, user_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there may be something new; whoever waits clears it before looking."""
        event = asyncio.Event()
        self._waiting[user_id].add(event)
        try:
            yield event
        finally:
            self._waiting[user_id].discard(event)
            if not self._waiting[user_id]:
                del self._waiting[user_id]

    async def run(self) -> None:
        """Listen until cancelled. While the database is away streams look by themselves, with each heartbeat."""
        while True:
            try:
                await self._listen()
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("stream.not_listening", error=type(error).__name__)
            await asyncio.sleep(AGAIN_AFTER)

    async def _listen(self) -> None:
        conn = await self._database.connect()
        async with conn:
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            # What was kept before we listened was announced to nobody here.
            for user_id in self._waiting:
                self._wake(user_id)
            async for notice in conn.notifies():
                self._wake(notice.payload)

    def _wake(self, user_id: str) -> None:
        for event in self._waiting.get(user_id, ()):
            event.set()
