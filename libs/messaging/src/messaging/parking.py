"""Parked messages: list them, show one, replay them, drop them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from messaging.bus import (
    ATTEMPT,
    FIRST_FAILED,
    REASON,
    TRACE,
    Bus,
    Delivery,
    Header,
    Held,
    QueueDrainedError,
    Subscription,
)
from messaging.letters import replayed

LIMIT = 1000
CRASH_LOOP = "delivered too often without being settled: its consumers ended while handling it"


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked message: what it is, why it is here, how often it was tried and what was raised last."""

    queue: str
    event_id: str
    type: str
    exchange: str
    routing_key: str
    reason: str
    attempts: int
    first_failed_at: datetime | None
    error: str
    size: int
    body: bytes
    headers: Mapping[str, Header]


class Parking:
    """The parking queue of one work queue.

    Looking holds the messages for a moment; two people looking at once each see a part.
    """

    def __init__(self, bus: Bus, queue: str) -> None:
        self._bus = bus
        self._queue = bus.topology.queue(queue)

    async def list(self, limit: int = 100) -> list[Parked]:
        """The first messages of the parking queue; they stay in it."""
        async with self._looking(limit) as looking:
            return [parked(held.delivery, self._queue.name) async for held in _until_drained(looking)]

    async def show(self, event_id: str) -> Parked | None:
        """One message, or None when it is not parked here."""
        return next((one for one in await self.list(LIMIT) if one.event_id == event_id), None)

    async def replay(self, event_id: str | None = None, limit: int = LIMIT) -> int:
        """Give one message (or all, up to `limit`) back to the queue with a fresh start; return how many.

        Published with confirmation first, removed second: interrupted in between, a message is there twice, which
        receivers take for a duplicate.

        Raises:
            NotConfirmedError: the broker would not take it; it is still parked.
        """
        return await self._each(event_id, limit, replay=True)

    async def drop(self, event_id: str | None = None, limit: int = LIMIT) -> int:
        """Delete one message (or all, up to `limit`) for good; return how many."""
        return await self._each(event_id, limit, replay=False)

    async def depth(self) -> int:
        """How many are parked, as the broker last counted."""
        return await self._bus.depth(self._queue.parked)

    async def _each(self, event_id: str | None, limit: int, *, replay: bool) -> int:
        count, began = 0, datetime.now(UTC)
        async with self._looking(LIMIT if event_id else limit) as looking:
            async for held in _until_drained(looking):
                if event_id not in {None, held.delivery.event_id} or _failed_since(began, held.delivery):
                    continue
                if replay:
                    await self._bus.publish(replayed(held.delivery, self._queue.name))
                await looking.ack([held])
                count += 1
        return count

    @asynccontextmanager
    async def _looking(self, limit: int) -> AsyncIterator[Subscription]:
        looking = await self._bus.fetch(self._queue.parked, limit)
        try:
            yield looking
        finally:
            await looking.close()


def parked(delivery: Delivery, queue: str) -> Parked:
    """What a delivery from a parking queue says about itself."""
    headers = delivery.headers
    attempts = headers.get(ATTEMPT, 0)
    first = headers.get(FIRST_FAILED)
    return Parked(
        queue=queue,
        event_id=delivery.event_id,
        type=delivery.type,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        reason=str(headers.get(REASON, CRASH_LOOP)),
        attempts=attempts if isinstance(attempts, int) else 0,
        first_failed_at=datetime.fromisoformat(str(first)) if first else None,
        error=str(headers.get(TRACE, "")),
        size=len(delivery.body),
        body=delivery.body,
        headers=headers,
    )


async def _until_drained(looking: Subscription) -> AsyncIterator[Held]:
    while True:
        try:
            yield await looking.next()
        except QueueDrainedError:
            return


def _failed_since(began: datetime, delivery: Delivery) -> bool:
    """Whether it came back while we were replaying; taking it again would go round in circles."""
    first = parked(delivery, "").first_failed_at
    return first is not None and first >= began
