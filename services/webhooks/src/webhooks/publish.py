"""Publishing deliveries: through a bus that is opened when it can be, for deliveries are taken in without it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from messaging.bus import BrokerUnreachableError, Bus, BusError, Outgoing
from messaging.rabbit import RabbitBus
from messaging.topology import PROVIDERS, onefolio
from persistence.outbox import OutboxMessage

log = structlog.get_logger(__name__)

OPEN_SECONDS = 5.0

Opening = Callable[[], Awaitable[Bus]]


class Publisher:
    """Publishes the relay's rows; opens the bus on first use and again for as long as that fails."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._bus: Bus | None = None

    async def start(self) -> None:
        """Open the bus if the broker is there; without it the process starts all the same.

        Raises:
            TopologyDriftError: the broker holds queues with other arguments.
        """
        try:
            await self._opened()
        except BrokerUnreachableError as error:
            log.warning("broker.away", error=str(error))

    async def publish(self, rows: list[OutboxMessage]) -> Sequence[BusError | None]:
        """Publish rows and wait for the confirmations.

        Raises:
            BusError: the bus cannot be opened; nothing was published.
        """
        bus = await self._opened()
        return await bus.publish_many([_outgoing(row) for row in rows])

    async def close(self) -> None:
        """Leave the broker."""
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()

    async def _opened(self) -> Bus:
        if self._bus is None:
            self._bus = await self._opening()
        return self._bus


def rabbit(url: str, providers: Sequence[str]) -> Opening:
    """How to open the bus of a broker; one that does not answer at once is asked again at the next try."""
    topology = onefolio(tuple(dict.fromkeys((*PROVIDERS, *providers))))

    async def opening() -> Bus:
        try:
            # Rows are locked meanwhile, so a broker that hangs must not be waited for.
            async with asyncio.timeout(OPEN_SECONDS):
                return await RabbitBus.open(url, topology, "webhooks", wait=0)
        except TimeoutError as error:
            raise BrokerUnreachableError(f"no AMQP broker answered within {OPEN_SECONDS:g} s") from error

    return opening


def _outgoing(row: OutboxMessage) -> Outgoing:
    return Outgoing(row.exchange, row.routing_key, row.body, row.event_id, row.type)
