"""From the queue to the table: facts that users watch, kept once each and told to all processes."""

from collections.abc import Awaitable, Callable, Sequence

import psycopg

from contracts.envelope import Received
from gateway.stream.shown import shown
from gateway.stream.store import keep
from messaging.bus import Bus
from messaging.consume import Habits
from messaging.consume_batches import BatchConsumer
from messaging.measures import EventMetrics
from messaging.policy import DONE, Outcome, Park, TransientError
from messaging.publishing import received
from messaging.topology import GATEWAY_STREAM
from persistence.database import Database, DatabaseUnavailable
from service_kit.clock import Clock
from service_kit.metrics import Metrics

BATCH = 100
DEADLINE = 30.0


class Keeping:
    """Consumes ``gateway.stream``.

    Args:
        bus: waits for the bus.
        database: as the gateway's role.
        clock: dates what is kept.
        metrics: messages are counted in it.
    """

    def __init__(
        self, bus: Callable[[], Awaitable[Bus]], database: Database, clock: Clock, metrics: Metrics
    ) -> None:
        self._bus = bus
        self._database = database
        self._clock = clock
        self._habits = Habits(
            prefetch=2 * BATCH, deadline=DEADLINE, classify=classify, metrics=EventMetrics(metrics)
        )
        self._consumer: BatchConsumer[Received] | None = None

    async def run(self) -> None:
        """Consume until ``stop``."""
        bus = await self._bus()
        self._consumer = BatchConsumer(
            bus, GATEWAY_STREAM, received, self.take, limit=BATCH, habits=self._habits
        )
        await self._consumer.run()

    async def stop(self) -> None:
        """Take no more; let the running batch finish."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def take(self, facts: Sequence[Received]) -> Sequence[Outcome]:
        """Keep those that users watch.

        Raises:
            TransientError: the database is away.
        """
        events = [event for event in map(shown, facts) if event is not None]
        try:
            if events:
                await keep(self._database, events, self._clock.now())
        except DatabaseUnavailable as error:
            raise TransientError("the database is away") from error
        return [DONE] * len(facts)


def classify(error: BaseException) -> Outcome | None:
    """What a database error means for a fact handled alone: values the table refuses never get better."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return Park(f"the table refuses it: {type(error).__name__} ({error.sqlstate})", error)
    return None
