"""One open stream: from where its reader left off, then whatever comes, as bytes."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from gateway.stream.frames import frame, heartbeat, opening
from gateway.stream.shown import RESET
from gateway.stream.store import Ends, after
from persistence.database import Database

RETRY_MILLISECONDS = 3_000
RUN = 100
"""Events read at a time: what a slow reader has not taken stays in the database."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between signs of life, and after which a stream ends so that its reader proves again who it is."""

    heartbeat: float = 15.0
    lifetime: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Start:
    """The number after which a stream begins; ``reset`` says why its reader must read everything again."""

    position: int
    reset: str | None = None


def started(kept: Ends, last: int | None) -> Start:
    """Where a reader begins that saw number ``last``; None begins with what comes next.

    A number that is not known (any more) begins there too, and is told so; so does one behind which there is nothing of
    the reader's, before it is forgotten for its age.
    """
    if last is None:
        return Start(kept.newest)
    if kept.knows(last):
        return Start(kept.newest if kept.own <= last else last)
    return Start(kept.newest, "too_old" if 0 <= last < kept.oldest else "unknown")


async def follow(
    database: Database, user_id: str, news: asyncio.Event, *, start: Start, pace: Pace
) -> AsyncGenerator[bytes, None]:
    """The user's events from ``start`` on, until the stream has lived long enough.

    Raises:
        DatabaseUnavailable: events cannot be read; the reader may come back with the last number it saw.
    """
    end = asyncio.get_running_loop().time() + pace.lifetime
    position = start.position
    yield opening(RETRY_MILLISECONDS, position)
    if start.reset is not None:
        yield frame(position, RESET, json.dumps({"reason": start.reset}))
    while asyncio.get_running_loop().time() < end:
        news.clear()
        found = await after(database, user_id, position, RUN)
        for event in found:
            yield frame(event.id, event.type, event.data)
            position = event.id
        if not found and not await _heard(news, pace.heartbeat):
            yield heartbeat()


async def _heard(news: asyncio.Event, seconds: float) -> bool:
    """Whether there is news within that time."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return False
    return True
