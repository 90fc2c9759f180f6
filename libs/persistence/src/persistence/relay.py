"""The relay: publishes what an outbox holds, as soon as it is there and for as long as it takes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import structlog
from psycopg import sql

from persistence.database import Database, DatabaseUnavailable
from persistence.outbox import (
    BATCH,
    ERROR_LIMIT,
    LONGEST_UNROUTABLE_WAIT,
    LONGEST_WAIT,
    PURGE_BATCH,
    RETENTION,
    Failure,
    OutboxMessage,
    OutboxSource,
    OutboxTable,
)
from service_kit.metrics import Metrics
from service_kit.redaction import redact

log = structlog.get_logger(__name__)

Publish = Callable[[list[OutboxMessage]], Awaitable[Sequence[Exception | None]]]
"""Publishes rows and waits for the confirmations: per row None, or why it is not confirmed."""

POLL = 1.0
AFTER_FAILURE = 1.0
PURGE_EVERY = 3600.0
FIRST_WAIT = timedelta(milliseconds=500)
MOST_DOUBLINGS = 16


class OutboxRelay:
    """Publishes an outbox's rows at least once each; several relays may share one outbox.

    A crash between publishing and marking publishes rows again under the same event id.

    Args:
        database: where the outbox is; the transaction stays open while a batch is published, so publishing
            must give up earlier than the database's idle-in-transaction timeout.
        outbox: a schema with an outbox table, or another source.
        publish: publishes a batch. One that raises counts as failed for every row.
        unroutable: errors that are the row's own fault; such rows wait longer between tries.
        metrics: where the backlog is shown.
        retention: how long published rows are kept.
    """

    def __init__(
        self,
        database: Database,
        outbox: str | OutboxSource,
        publish: Publish,
        *,
        unroutable: tuple[type[Exception], ...] = (),
        metrics: Metrics | None = None,
        retention: timedelta = RETENTION,
        poll: float = POLL,
    ) -> None:
        self._database = database
        self._source: OutboxSource = OutboxTable(outbox) if isinstance(outbox, str) else outbox
        self._publish = publish
        self._unroutable = unroutable
        self._measures = _Measures(metrics, self._source.channel) if metrics else None
        self._retention = retention
        self._poll = poll
        self._awake = asyncio.Event()
        self._stopping = False
        self._running = asyncio.Lock()
        self._measure_at = 0.0
        self._purge_at = 0.0

    def wake(self) -> None:
        """Say that a transaction with new rows has committed."""
        self._awake.set()

    async def run(self) -> None:
        """Publish until stopped; to be run as a background task."""
        listener = asyncio.create_task(self._listen())
        try:
            async with self._running:
                while not self._stopping:
                    await self._turn()
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    async def stop(self) -> None:
        """Finish the batch that is on its way, publish what is still due, and end `run`."""
        self._stopping = True
        self._awake.set()
        async with self._running:
            with suppress(DatabaseUnavailable):
                while (await self._batch()).more:
                    pass

    async def publish_batch(self) -> int:
        """Publish one batch of due rows; returns how many were confirmed.

        Raises:
            DatabaseUnavailable: the rows cannot be read, or marked. Those published will be published again.
        """
        return (await self._batch()).confirmed

    async def _batch(self) -> "_Batch":
        async with self._database.transaction() as conn:
            rows = await self._source.claim(conn, BATCH)
            if not rows:
                return _Batch(0, 0)
            errors = await self._published(rows)
            failed = [self._failure(row, error) for row, error in zip(rows, errors, strict=True) if error]
            confirmed = [row.id for row, error in zip(rows, errors, strict=True) if error is None]
            await self._source.settle(conn, confirmed, failed)
        if failed:
            log.warning("outbox.not_confirmed", rows=len(failed), error=failed[0].error)
        if self._measures:
            self._measures.count(len(confirmed), len(failed))
        return _Batch(len(rows), len(confirmed))

    async def _turn(self) -> None:
        """Publish what is there, then wait for more."""
        self._awake.clear()
        wait = self._poll
        try:
            if (await self._batch()).more:
                return
            await self._look_after()
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("outbox.interrupted", outbox=self._source.channel, error=type(error).__name__)
            wait = AFTER_FAILURE
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._awake.wait()

    async def _published(self, rows: list[OutboxMessage]) -> Sequence[Exception | None]:
        try:
            return await self._publish(rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows are not confirmed and stay
            return [error] * len(rows)

    def _failure(self, row: OutboxMessage, error: Exception) -> Failure:
        longest = LONGEST_UNROUTABLE_WAIT if isinstance(error, self._unroutable) else LONGEST_WAIT
        wait = min(FIRST_WAIT * 2 ** min(row.attempts, MOST_DOUBLINGS), longest)
        return Failure(row.id, redact(f"{type(error).__name__}: {error}")[:ERROR_LIMIT], wait)

    async def _look_after(self) -> None:
        """Once a second measure the backlog, once an hour delete old rows."""
        now = asyncio.get_running_loop().time()
        if self._measures and now >= self._measure_at:
            self._measure_at = now + POLL
            async with self._database.transaction() as conn:
                backlog = await self._source.backlog(conn)
            self._measures.show(backlog.pending, backlog.oldest)
        if now >= self._purge_at:
            self._purge_at = now + PURGE_EVERY
            await self.purge()

    async def purge(self) -> int:
        """Delete published rows older than the retention, in small transactions; returns how many went."""
        total = 0
        while True:
            async with self._database.transaction() as conn:
                gone = await self._source.purge(conn, self._retention, PURGE_BATCH)
            total += gone
            if gone < PURGE_BATCH:
                return total

    async def _listen(self) -> None:
        """Wake when another process announces rows. Without it the poll still finds them, a second later."""
        while True:
            with suppress(DatabaseUnavailable, psycopg.Error):
                await self._heard()
            await asyncio.sleep(AFTER_FAILURE)

    async def _heard(self) -> None:
        conn = await self._database.connect()
        async with conn:
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._source.channel)))
            async for _ in conn.notifies():
                self.wake()


@dataclass(frozen=True, slots=True)
class _Batch:
    """What became of one batch."""

    claimed: int
    confirmed: int

    @property
    def more(self) -> bool:
        """Whether to go on at once: there may be more, and the broker takes them."""
        return self.claimed == BATCH and self.confirmed > 0


class _Measures:
    """What Prometheus sees of an outbox."""

    def __init__(self, metrics: Metrics, outbox: str) -> None:
        name = ("outbox",)
        self._outbox = outbox
        self._pending = metrics.gauge("onefolio_outbox_pending", "Messages not yet published.", name)
        self._lag = metrics.gauge(
            "onefolio_outbox_lag_seconds", "Age of the oldest unpublished message.", name
        )
        self._sent = metrics.counter(
            "onefolio_outbox_messages_total", "Messages handed to the broker.", ("outbox", "result")
        )

    def count(self, confirmed: int, failed: int) -> None:
        self._sent.labels(self._outbox, "confirmed").inc(confirmed)
        self._sent.labels(self._outbox, "failed").inc(failed)

    def show(self, pending: int, oldest: timedelta) -> None:
        self._pending.labels(self._outbox).set(pending)
        self._lag.labels(self._outbox).set(max(oldest.total_seconds(), 0))
