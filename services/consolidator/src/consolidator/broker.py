"""The way to the broker: consume batches, publish what the outbox holds."""

from collections.abc import Awaitable, Callable, Sequence

from consolidator.admission import classify
from consolidator.apply import Applier
from contracts.envelope import Received
from messaging.bus import BrokerUnreachableError, Bus, BusError, Outgoing
from messaging.consume import Habits
from messaging.consume_batches import BatchConsumer
from messaging.ledger import AttemptLedger
from messaging.measures import EventMetrics
from messaging.publishing import received
from messaging.rabbit import RabbitBus
from messaging.topology import CONSOLIDATOR, onefolio
from persistence.outbox import OutboxMessage

Opening = Callable[[], Awaitable[Bus]]
DEADLINE = 60.0


def rabbit(url: str) -> Opening:
    """How to open the bus of a broker."""

    async def opening() -> Bus:
        return await RabbitBus.open(url, onefolio(), CONSOLIDATOR)

    return opening


class Broker:
    """The consolidator's end of the bus, from ``start`` to ``close``."""

    def __init__(
        self, opening: Opening, applier: Applier, *, batch: int, metrics: EventMetrics, ledger: AttemptLedger
    ) -> None:
        self._opening = opening
        self._applier = applier
        self._batch = batch
        # Twice the batch, so that the next one is here and decoded while this one commits.
        self._habits = Habits(
            prefetch=2 * batch, deadline=DEADLINE, classify=classify, ledger=ledger, metrics=metrics
        )
        self._bus: Bus | None = None
        self._consumer: BatchConsumer[Received] | None = None

    async def start(self) -> None:
        """Open the bus.

        Raises:
            BrokerUnreachableError: the broker does not answer.
        """
        self._bus = await self._opening()
        self._consumer = BatchConsumer(
            self._bus, CONSOLIDATOR, received, self._applier, limit=self._batch, habits=self._habits
        )

    async def ready(self) -> None:
        """Say whether the broker serves us.

        Raises:
            BrokerUnreachableError: it does not, or it takes nothing for a memory or disk alarm.
        """
        if self._bus is None or (isinstance(self._bus, RabbitBus) and not await self._bus.writable()):
            raise BrokerUnreachableError("the broker takes no messages")

    async def run(self) -> None:
        """Consume until ``stop``."""
        if self._consumer is None:
            raise RuntimeError("the broker was not started")
        await self._consumer.run()

    async def stop(self) -> None:
        """Take no more; let the running batch finish."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def close(self) -> None:
        """Leave the broker."""
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()

    async def publish(self, rows: list[OutboxMessage]) -> Sequence[BusError | None]:
        """Publish rows of the outbox and wait for the confirmations."""
        if self._bus is None:
            raise BusError("the bus is not open")
        return await self._bus.publish_many([outgoing(row) for row in rows])


def outgoing(row: OutboxMessage) -> Outgoing:
    """A row of the outbox as the bus carries it."""
    return Outgoing(row.exchange, row.routing_key, row.body, row.event_id, row.type)
