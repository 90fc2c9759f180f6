"""Waiting, for a moment, until a decision shows in what the consolidator publishes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from persistence.database import DatabaseUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

PATIENCE = 3.0
"""How long, in seconds, a caller is kept waiting for a decision to be applied."""
LONGER_PATIENCE = 5.0
"""The same, for a consolidation on demand."""
FIRST_PAUSE = 0.04
LONGEST_PAUSE = 0.25
GROWTH = 1.2


async def until(look: Callable[[], Awaitable[T | None]], patience: float) -> T | None:
    """What ``look`` finds, as soon as it finds something; None when patience is at an end.

    What was decided is kept already, so a database that is away for a moment counts as nothing found.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + patience, FIRST_PAUSE
    while True:
        try:
            found = await look()
        except DatabaseUnavailable as error:
            log.info("decision.not_looked", error=str(error))
            found = None
        if found is not None or loop.time() + pause > deadline:
            return found
        await asyncio.sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)
