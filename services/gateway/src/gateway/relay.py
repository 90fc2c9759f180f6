"""From the outbox to the broker, which may come and go while the gateway keeps reading."""

import asyncio
from collections.abc import Sequence

import structlog

from messaging.bus import BrokerUnreachableError, Bus, BusError, Outgoing
from messaging.rabbit import RabbitBus
from messaging.topology import Topology
from persistence.outbox import OutboxMessage

log = structlog.get_logger(__name__)

CONNECT_WAIT = 5.0
AGAIN_AFTER = 1.0


class Publisher:
    """Publishes outbox rows. Until the broker is reached, rows stay where they are.

    Args:
        bus: an open bus, for tests; None to connect to ``url``.
        url: the broker's.
        topology: declared on connecting.
    """

    def __init__(self, bus: Bus | None, url: str, topology: Topology) -> None:
        self._bus = bus
        self._own = bus is None
        self._url = url
        self._topology = topology
        self._joined = asyncio.Event()
        if bus is not None:
            self._joined.set()

    async def connect(self) -> None:
        """Reach the broker, however long that takes; to be run as a background task.

        Raises:
            TopologyDriftError: a queue exists with other arguments; waiting does not help.
        """
        while self._bus is None:
            try:
                self._bus = await RabbitBus.open(self._url, self._topology, "gateway", wait=CONNECT_WAIT)
            except BrokerUnreachableError as error:
                log.warning("broker.unreachable", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
        self._joined.set()
        log.info("broker.connected")

    async def bus(self) -> Bus:
        """The bus, for those who consume from it, once there is one."""
        await self._joined.wait()
        if self._bus is None:
            raise BrokerUnreachableError("not connected")
        return self._bus

    async def publish(self, rows: list[OutboxMessage]) -> Sequence[BusError | None]:
        """Publish rows and wait for the confirmations.

        Raises:
            BrokerUnreachableError: there is no broker yet.
        """
        if self._bus is None:
            raise BrokerUnreachableError("not connected yet")
        return await self._bus.publish_many(
            [Outgoing(row.exchange, row.routing_key, row.body, row.event_id, row.type) for row in rows]
        )

    async def ready(self) -> bool:
        """Whether commands can leave now."""
        if isinstance(self._bus, RabbitBus):
            return await self._bus.writable()
        return self._bus is not None

    async def close(self) -> None:
        """Leave the broker."""
        if self._own and self._bus is not None:
            await self._bus.close()
