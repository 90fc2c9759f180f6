"""The streams of one process: how many are open, who is woken, when they end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Annotated

from fastapi import Depends, Request

from contracts.errors import ErrorCode
from gateway.refusals import refusal
from gateway.stream.flowing import Flowing
from gateway.stream.keeping import Keeping
from gateway.stream.reader import Pace, follow, started
from gateway.stream.store import ends
from gateway.stream.wakes import Wakes
from messaging.bus import Bus
from persistence.database import Database
from service_kit.clock import Clock
from service_kit.health import Health
from service_kit.metrics import Metrics

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Proxies that keep an answer until it is whole would keep it for ever."""
COME_BACK = "15"


class Streams:
    """Opens streams, and runs what fills them.

    Args:
        bus: waits for the bus.
        database: as the gateway's role.
        clock: dates what is kept.
        metrics: messages and open streams are counted in it.
        health: streams end when the process drains.
        most: streams one user may have open in this process.
        pace: of heartbeats.
    """

    def __init__(
        self,
        bus: Callable[[], Awaitable[Bus]],
        database: Database,
        *,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        most: int,
        pace: Pace | None = None,
    ) -> None:
        self.keeping = Keeping(bus, database, clock, metrics)
        self.most = most
        self.pace = pace or Pace()
        self._wakes = Wakes(database)
        self._database = database
        self._health = health
        self._open = metrics.gauge("onefolio_open_streams", "Event streams open now.")

    async def run(self) -> None:
        """Fill and wake streams until cancelled; to be run as a background task."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.keeping.run())
            group.create_task(self._wakes.run())

    async def stop(self) -> None:
        """Take no more from the queue."""
        await self.keeping.stop()

    async def open(self, user_id: str, last: int | None) -> Flowing:
        """A stream of the user's events after number ``last``; None begins with what comes next.

        Raises:
            ApiError: 429, the user has too many open.
            DatabaseUnavailable: events cannot be read.
        """
        if self._wakes.open(user_id) >= self.most:
            details = {"reason": "open_streams", "limit": self.most}
            message = f"At most {self.most} streams may be open at once."
            raise refusal(
                ErrorCode.RATE_LIMITED, message, details=details, headers={"Retry-After": COME_BACK}
            )
        with ExitStack() as held:
            # Before anything is read: what is kept from here on wakes it.
            news = held.enter_context(self._wakes.waiting(user_id))
            held.enter_context(self._open.track_inprogress())
            start = started(await ends(self._database, user_id), last)
            pieces = follow(self._database, user_id, news, start=start, pace=self.pace)
            return Flowing(
                pieces,
                media_type=MEDIA_TYPE,
                headers=HEADERS,
                until=self._health.wait_draining,
                done=held.pop_all().close,
            )


def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


OpenStreams = Annotated[Streams, Depends(_streams)]
"""The process's streams, as a route takes them."""
