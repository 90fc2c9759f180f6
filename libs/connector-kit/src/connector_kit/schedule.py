"""The schedule: due connections are read, and what was left unfinished is looked at once more. Any number of replicas."""

import asyncio
import uuid
from functools import partial

import structlog

from connector_kit import calls, connections, intents, names, refresh
from connector_kit.claiming import Want, claim_due
from connector_kit.connections import Claim
from connector_kit.engine import Engine
from connector_kit.finish import finish
from connector_kit.hold import CLAIM_FOR, held
from connector_kit.sync import run, sync
from contracts.errors import ProviderError
from messaging.bus import BusError
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretStoreUnavailableError

log = structlog.get_logger(__name__)

SWEEP_EVERY = 60.0
SIDE_BY_SIDE = 3
"""Of one user's connections: whoever has many waits longer for them, not the others."""
TRIGGER = "schedule"
LATER = (BusError, DatabaseUnavailable, SecretStoreUnavailableError)
"""What passes by itself: the work is still due when it has."""


class Scheduler:
    """Claims what is due and works on it: a round for each of at most ``sync_concurrency`` users side by side.

    Nothing is caught up on: a connection that was due ten times while nobody ran is read once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rounds: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._swept_at = float("-inf")
        self._more = False

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
            for task in self._tasks():
                task.cancel()
            await self.idle()

    async def tick(self) -> int:
        """Claim what is due, as far as there is room, and begin to work on it; how many were claimed."""
        claimed = await self._claim()
        now = self._engine.clock.monotonic()
        if now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            self._begin_sweep()
        return claimed

    async def idle(self) -> None:
        """Wait until nothing runs."""
        while tasks := self._tasks():
            await asyncio.wait(tasks)

    def _tasks(self) -> set[asyncio.Task[None]]:
        sweeping = {self._sweeping} if self._sweeping is not None and not self._sweeping.done() else set()
        return self._rounds | sweeping

    def _begin_sweep(self) -> None:
        # Beside the rounds: what it finds may take minutes to read, and others are due meanwhile.
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(_swept(self._engine))

    async def _claim(self) -> int:
        engine = self._engine
        room = engine.settings.sync_concurrency - len(self._rounds)
        if room <= 0:
            return 0
        want = Want(uuid.uuid4().hex, CLAIM_FOR, room, engine.settings.sync_round_size)
        rounds = await claim_due(engine.database, engine.provider, want)
        for claims in rounds:
            task = asyncio.create_task(_round(engine, claims))
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)
        self._more = len(rounds) >= room
        return sum(len(claims) for claims in rounds)

    async def _pause(self) -> None:
        """Until the next look; sooner where there was more to do than room, once there is room again."""
        wait = self._engine.settings.scheduler_poll_seconds * (0.5 + self._engine.chance())
        stopping = asyncio.create_task(self._stopping.wait())
        running = self._rounds if self._more else set()
        await asyncio.wait({stopping, *running}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()


async def _round(engine: Engine, claims: list[Claim]) -> None:
    """Read one user's connections, a few at a time; what they have in common is asked once."""
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)
    with calls.sharing():
        # A group, unlike a gathering, ends when all have given back their claims.
        async with asyncio.TaskGroup() as group:
            for claimed in claims:
                group.create_task(_one(engine, claimed, side_by_side))


async def _one(engine: Engine, claimed: Claim, turn: asyncio.Semaphore) -> None:
    try:
        # Whoever waits for its turn in the round keeps its claim meanwhile.
        async with held(partial(connections.renew, engine.database, claimed, CLAIM_FOR)), turn:
            await run(engine, claimed, TRIGGER)
    except LATER as error:
        log.warning("schedule.run_failed", error=type(error).__name__)
    except asyncio.CancelledError:
        await connections.release(engine.database, claimed)
        raise
    except Exception:
        # One connection's defect must not end the schedule of all the others.
        log.exception("schedule.run_broken", connection_id=claimed.connection.connection_id)


async def _swept(engine: Engine) -> None:
    try:
        await sweep(engine)
    except LATER as error:
        log.warning("sweep.interrupted", error=type(error).__name__)
    except Exception:
        # Nor must what was left behind by one of them.
        log.exception("sweep.broken", provider=engine.provider)


async def sweep(engine: Engine) -> None:
    """Look once more at what may have been left: paid refreshes whose fate is open, link sessions that ran out."""
    await refresh.sweep(engine)
    await _sweep_links(engine)


async def _sweep_links(engine: Engine) -> None:
    # The webhook that told of their success may be lost.
    for link_session_id in await intents.ran_out(engine.database, engine.provider):
        try:
            done = await finish(engine, link_session_id, user_id=None)
        except ProviderError as error:
            log.warning("link.not_settled", provider=engine.provider, error_code=error.code)
            continue
        except LATER:
            raise
        except Exception:
            # A session that meets a defect must not stand before all others.
            log.exception("link.broken", provider=engine.provider, link_session_id=link_session_id)
            continue
        for connection_id in done.fresh if done else []:
            await sync(engine, connection_id, trigger="link")
    for user_id, link_session_id in await intents.outlived(engine.database, engine.provider):
        await engine.secrets.delete(names.link_token(engine.provider, user_id, link_session_id))
        await intents.forget_token(engine.database, link_session_id)
