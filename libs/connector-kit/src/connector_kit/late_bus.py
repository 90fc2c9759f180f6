"""A bus that is opened when the process starts, so that everything can be wired before anything connects."""

from collections.abc import Awaitable, Callable, Sequence

from messaging.bus import BrokerUnreachableError, Bus, BusError, Outgoing, Subscription
from messaging.rabbit import RabbitBus
from messaging.topology import Topology


class LateBus:
    """Stands for a bus until ``open``, then passes everything on to it."""

    def __init__(self, topology: Topology, opening: Callable[[], Awaitable[Bus]]) -> None:
        self.topology = topology
        self._opening = opening
        self._bus: Bus | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            BrokerUnreachableError: the broker does not answer.
        """
        self._bus = await self._opening()

    async def ready(self) -> bool:
        """Whether messages can be published now."""
        if self._bus is None:
            return False
        return await self._bus.writable() if isinstance(self._bus, RabbitBus) else True

    async def publish(self, message: Outgoing) -> None:
        """Publish and wait for the broker's confirmation."""
        await self._opened.publish(message)

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[BusError | None]:
        """Publish side by side."""
        return await self._opened.publish_many(messages)

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        """Take deliveries of a work queue."""
        return await self._opened.subscribe(queue, prefetch)

    async def fetch(self, queue: str, limit: int) -> Subscription:
        """Hold messages that are in the queue now."""
        return await self._opened.fetch(queue, limit)

    async def depth(self, queue: str) -> int:
        """Messages ready in the queue."""
        return await self._opened.depth(queue)

    async def close(self) -> None:
        """Leave the broker, if it was ever joined."""
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()

    @property
    def _opened(self) -> Bus:
        if self._bus is None:
            raise BrokerUnreachableError("the bus is not open")
        return self._bus
