"""The loop: one instance at a time looks after things, whichever is there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
import structlog

from persistence.database import Connection, Database, DatabaseUnavailable
from service_kit.clock import Clock

log = structlog.get_logger(__name__)

LOCK = "gateway.upkeep"
EVERY = 15.0


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to look after: how often, and what; it answers how much it did."""

    name: str
    every: timedelta
    work: Callable[[], Awaitable[int]]


class Upkeep:
    """Runs its tasks when they are due, from ``run`` to ``stop``, while this instance holds the lock.

    The lock is the database's and ends with its connection, so that another instance takes over when this one dies.
    """

    def __init__(self, database: Database, tasks: Sequence[Task], clock: Clock) -> None:
        self._database = database
        self._tasks = tasks
        self._clock = clock
        self._done_at: dict[str, datetime] = {}
        self._stopping = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Look after things until ``stop``; to be run as a background task."""
        while not self._stopping.is_set():
            self._working = asyncio.create_task(self._turned())
            try:
                await asyncio.wait({self._working})
            finally:
                self._working.cancel()
            await self._pause()

    async def stop(self) -> None:
        """Leave off: every task may be done again, so whoever comes next goes on with it."""
        self._stopping.set()
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait({self._working})

    async def _turned(self) -> None:
        try:
            await self.turn()
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("upkeep.interrupted", error=type(error).__name__)

    async def turn(self) -> dict[str, int] | None:
        """Do what is due: task → how much it did. None where another instance is at it.

        Raises:
            DatabaseUnavailable: there is no connection to hold the lock on.
        """
        conn = await self._database.connect()
        async with conn:
            if not await _locked(conn):
                return None
            return {task.name: await self._one(task) for task in self._tasks if self._is_due(task)}

    def _is_due(self, task: Task) -> bool:
        done_at = self._done_at.get(task.name)
        return not self._stopping.is_set() and (done_at is None or self._clock.now() - done_at >= task.every)

    async def _one(self, task: Task) -> int:
        """Do one task; what goes wrong there keeps none of the others from its turn."""
        self._done_at[task.name] = self._clock.now()
        try:
            done = await task.work()
        except Exception as error:
            log.exception("upkeep.failed", task=task.name, error=type(error).__name__)
            return 0
        if done:
            log.info("upkeep.done", task=task.name, count=done)
        return done

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(EVERY):
                await self._stopping.wait()
        except TimeoutError:
            return


async def _locked(conn: Connection) -> bool:
    cursor = await conn.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (LOCK,))
    row = await cursor.fetchone()
    return bool(row and row[0])
