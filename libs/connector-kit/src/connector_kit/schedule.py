"""The schedule: due connections are read, sessions that ran out are looked at once more. Any number of replicas."""

import asyncio
import uuid

import structlog

from connector_kit import connections, handled, intents, names
from connector_kit.connections import Claim
from connector_kit.engine import Engine
from connector_kit.finish import finish
from connector_kit.hold import CLAIM_FOR
from connector_kit.sync import run, sync
from contracts.errors import ProviderError
from messaging.bus import BusError
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretStoreUnavailableError

log = structlog.get_logger(__name__)

SWEEP_EVERY = 60.0
TRIGGER = "schedule"
LATER = (BusError, DatabaseUnavailable, SecretStoreUnavailableError)
"""What passes by itself: the work is still due when it has."""


class Scheduler:
    """Claims what is due and works on it, at most ``sync_concurrency`` runs side by side.

    Nothing is caught up on: a connection that was due ten times while nobody ran is read once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._swept_at = float("-inf")

    async def run(self) -> None:
        """Work until ``stop``."""
        while not self._stopping.is_set():
            try:
                await self.tick()
            except LATER as error:
                log.warning("schedule.interrupted", error=type(error).__name__)
            await self._pause()

    async def stop(self) -> None:
        """Claim nothing more and wait for what runs; cut short, give back what it has claimed."""
        self._stopping.set()
        try:
            await self.idle()
        finally:
            for task in self._running:
                task.cancel()
            await self.idle()

    async def tick(self) -> int:
        """Claim what is due, as far as there is room, and begin to work on it; how many were claimed."""
        room = self._engine.settings.sync_concurrency - len(self._running)
        claims: list[Claim] = []
        if room > 0:
            claims = await connections.claim_due(
                self._engine.database,
                self._engine.provider,
                holder=uuid.uuid4().hex,
                lease=CLAIM_FOR,
                limit=room,
            )
        for claimed in claims:
            self._begin(claimed)
        now = self._engine.clock.monotonic()
        if now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            await sweep(self._engine)
        return len(claims)

    async def idle(self) -> None:
        """Wait until nothing runs."""
        while self._running:
            await asyncio.wait(set(self._running))

    def _begin(self, claimed: Claim) -> None:
        task = asyncio.create_task(self._one(claimed))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _one(self, claimed: Claim) -> None:
        try:
            await run(self._engine, claimed, TRIGGER)
        except LATER as error:
            log.warning("schedule.run_failed", error=type(error).__name__)
        except Exception:
            # One connection's defect must not end the schedule of all the others.
            log.exception("schedule.run_broken", connection_id=claimed.connection.connection_id)

    async def _pause(self) -> None:
        wait = self._engine.settings.scheduler_poll_seconds
        try:
            async with asyncio.timeout(wait * (0.5 + self._engine.chance())):
                await self._stopping.wait()
        except TimeoutError:
            return


async def sweep(engine: Engine) -> None:
    """Look once more at link sessions that ran out: the webhook that told of their success may be lost."""
    for link_session_id in await intents.ran_out(engine.database, engine.provider):
        try:
            done = await finish(engine, link_session_id, user_id=None)
        except ProviderError as error:
            log.warning("link.not_settled", provider=engine.provider, error_code=error.code)
            continue
        for connection_id in done.fresh if done else []:
            await sync(engine, connection_id, trigger="link")
    for user_id, link_session_id in await intents.outlived(engine.database, engine.provider):
        await engine.secrets.delete(names.link_token(engine.provider, user_id, link_session_id))
        await intents.forget_token(engine.database, link_session_id)
    await handled.forget_old(engine.database, engine.provider)
