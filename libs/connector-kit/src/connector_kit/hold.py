"""Holding on to a claim while working: claims are short, so that a crash is noticed soon, and renewed meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from persistence.database import DatabaseUnavailable

log = structlog.get_logger(__name__)

CLAIM_FOR = timedelta(seconds=20)
RENEW_EVERY = 6.0


@asynccontextmanager
async def held(renew: Callable[[], Awaitable[bool]], every: float = RENEW_EVERY) -> AsyncIterator[None]:
    """Renew a claim until the block ends; ``renew`` says whether it is still ours.

    A claim that is lost does not stop the work: what it publishes has a version lower than its successor's.
    """
    task = asyncio.create_task(_renewing(renew, every), name="renew claim")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _renewing(renew: Callable[[], Awaitable[bool]], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            if not await renew():
                log.warning("claim.lost")
                return
        except DatabaseUnavailable as error:
            log.warning("claim.not_renewed", error=str(error))
