"""What is done once a day: the catalogue, the search for orphans, housekeeping. One replica does each."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from connector_kit import catalogue, housekeeping, job_table, orphans
from connector_kit.engine import Engine
from connector_kit.hold import CLAIM_FOR, held
from connector_kit.job_table import Hold
from connector_kit.policy import spread
from contracts.connectors import ListsCatalogue
from contracts.errors import ProviderError
from messaging.bus import BusError
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretStoreUnavailableError

log = structlog.get_logger(__name__)

Work = Callable[[Engine], Awaitable[dict[str, Any]]]
LOOK_EVERY = 10.0
FIRST_WITHIN = timedelta(minutes=10)
"""A new installation has other things to do first."""
AGAIN_AFTER_FAILURE = timedelta(minutes=30)
FAILS = (ProviderError, BusError, DatabaseUnavailable, SecretStoreUnavailableError)


def jobs_of(engine: Engine) -> dict[str, Work]:
    """The jobs of a connector; what its adapter does not serve is no job."""
    found: dict[str, Work] = {"housekeeping": housekeeping.tidy, "orphans": orphans.search}
    if isinstance(engine.adapter, ListsCatalogue):
        found["catalogue"] = catalogue.refresh
    return found


class Jobs:
    """Does what is due, one job after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Work until ``stop``."""
        while not self._stopping.is_set():
            self._working = asyncio.create_task(self.look())
            await asyncio.wait({self._working})
            if not self._working.cancelled() and (error := self._working.exception()):
                if not isinstance(error, FAILS):
                    raise error
                log.warning("jobs.interrupted", error=type(error).__name__)
            try:
                async with asyncio.timeout(LOOK_EVERY * (0.5 + self._engine.chance())):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Break off what runs: it is due still, and whoever comes next begins it anew."""
        self._stopping.set()
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait({self._working})

    async def look(self) -> None:
        """Do every job that is due and that nobody else does."""
        engine = self._engine
        for name, work in jobs_of(engine).items():
            hold = Hold(engine.provider, name, uuid.uuid4().hex)
            if await job_table.claim(engine.database, hold, CLAIM_FOR, FIRST_WITHIN * engine.chance()):
                await self._do(hold, work)

    async def _do(self, hold: Hold, work: Work) -> None:
        database = self._engine.database
        try:
            async with held(partial(job_table.renew, database, hold, CLAIM_FOR)):
                result, wait = await self._outcome(hold.name, work)
        except asyncio.CancelledError:
            await job_table.release(database, hold)
            raise
        await job_table.finish(database, hold, result, wait)

    async def _outcome(self, name: str, work: Work) -> tuple[dict[str, Any], timedelta]:
        engine = self._engine
        try:
            result = await work(engine)
        except FAILS as error:
            code = error.code if isinstance(error, ProviderError) else type(error).__name__
            log.warning("job.failed", provider=engine.provider, job=name, error=code)
            return {"error": str(code)}, spread(AGAIN_AFTER_FAILURE, engine.chance())
        except Exception as error:
            # A defect of one job must not end the others.
            log.exception("job.broken", provider=engine.provider, job=name)
            return {"error": type(error).__name__}, spread(AGAIN_AFTER_FAILURE, engine.chance())
        log.info("job.done", provider=engine.provider, job=name, result=result)
        return result, spread(timedelta(seconds=engine.settings.jobs_every_seconds), engine.chance())
