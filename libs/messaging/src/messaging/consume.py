"""The consume loop: deliveries in, handler called, outcome settled. Nothing else in the house acknowledges.

It ends in this order: ask for no more, leave what was not started un-acknowledged, wait for what runs.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from messaging.bus import Bus, BusError, Delivery, Held, Subscription
from messaging.guarded import Failure, guarded
from messaging.ledger import MAX_CRASHES, AttemptLedger
from messaging.measures import EventMetrics
from messaging.policy import DONE, Classify, Outcome, Park, outcome_of
from messaging.settle import Settled, Settler

log = structlog.get_logger(__name__)

T = TypeVar("T")
WATCH_EVERY = 30.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How a consumer works.

    Attributes:
        prefetch: deliveries held at most; 32 for database work, 4 for provider calls, twice the batch for batches.
        deadline: seconds a handler may take.
        classify: knows more exceptions than the policy (say, a database driver's).
        ledger: where tries of redelivered messages are counted; None where handlers cannot kill the process.
        metrics: where messages are counted.
    """

    prefetch: int = 32
    deadline: float = 60.0
    classify: Classify | None = None
    ledger: AttemptLedger | None = None
    metrics: EventMetrics | None = None


DEFAULT = Habits()


@dataclass(frozen=True, slots=True)
class Ready(Generic[T]):
    """A delivery that was read, or what is to become of one that could not be."""

    held: Held
    value: T | None
    problem: Outcome | None = None

    @property
    def suspect(self) -> bool:
        """Whether it was given out before: perhaps it killed its consumer."""
        return self.held.delivery.redelivered


class Consumer(ABC, Generic[T]):
    """A consumer of one work queue."""

    def __init__(
        self, bus: Bus, queue: str, decode: Callable[[Delivery], T], *, habits: Habits = DEFAULT
    ) -> None:
        self.queue = queue
        self._bus = bus
        self._decode = decode
        self._habits = habits
        self._settler = Settler(bus, queue, metrics=habits.metrics)
        self._subscription: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Subscribe and begin to consume."""
        self._stopping.clear()
        subscription = await self._bus.subscribe(self.queue, self._habits.prefetch)
        self._subscription = subscription
        self._tasks = [
            asyncio.create_task(self._loop(subscription)),
            asyncio.create_task(self._watch_parked()),
        ]

    async def run(self) -> None:
        """Consume until `stop`; a loop that ends by surprise raises here, so that the process ends with it."""
        if self._subscription is None:
            await self.start()
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopping, self._tasks[0]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not self._stopping.is_set():
            await self._tasks[0]

    async def stop(self, grace: float = 10.0) -> None:
        """Take no more, let running handlers finish for `grace` seconds, leave the rest to the broker."""
        self._stopping.set()
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        await subscription.pause()
        await self._finish(grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await subscription.close()

    @abstractmethod
    async def _loop(self, subscription: Subscription) -> None:
        """Consume until cancelled."""

    @abstractmethod
    async def _finish(self, grace: float) -> None:
        """Wait for what runs; begin nothing new."""

    def _read(self, held: Held) -> Ready[T]:
        try:
            return Ready(held, self._decode(held.delivery))
        except Exception as error:  # noqa: BLE001 - whatever a decoder raises, its message must be settled
            return Ready(held, None, outcome_of(error, self._habits.classify))

    async def _with_ledger(self, held: Held, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Do the work of a suspect, unless it has killed its consumer too often."""
        ledger = self._habits.ledger
        if ledger is None or not held.delivery.redelivered:
            return await work()
        event = held.delivery.event_id
        tries = await guarded(
            lambda: ledger.begin(self.queue, event), self._habits.deadline, self._habits.classify
        )
        if isinstance(tries, Failure):
            return tries.outcome
        crashed = tries > MAX_CRASHES
        outcome = (
            Park(f"its consumer ended {MAX_CRASHES} times while handling it") if crashed else await work()
        )
        done = await guarded(lambda: ledger.done(self.queue, event), self._habits.deadline, None)
        if isinstance(done, Failure):
            log.warning(
                "ledger.not_cleared", queue=self.queue, event_id=event, error=type(done.error).__name__
            )
        return outcome

    def _on_end(self, loop: asyncio.Task[None]) -> None:
        if not loop.cancelled() and (error := loop.exception()) is not None:
            log.error("consumer.ended", queue=self.queue, exc_info=error)

    async def _watch_parked(self) -> None:
        metrics = self._habits.metrics
        parked = self._bus.topology.queue(self.queue).parked
        while metrics is not None:
            try:
                metrics.parked(self.queue, await self._bus.depth(parked))
            except (BusError, OSError, RuntimeError) as error:
                log.info("parked.depth_unknown", queue=parked, error=type(error).__name__)
            await asyncio.sleep(WATCH_EVERY)


class EachConsumer(Consumer[T]):
    """One message per call, as many calls side by side as `prefetch`.

    The handler returns an outcome, or None for done.
    """

    def __init__(
        self,
        bus: Bus,
        queue: str,
        decode: Callable[[Delivery], T],
        handler: Callable[[T], Awaitable[Outcome | None]],
        *,
        habits: Habits = DEFAULT,
    ) -> None:
        super().__init__(bus, queue, decode, habits=habits)
        self._handler = handler
        self._running: set[asyncio.Task[None]] = set()
        self._suspects = asyncio.Lock()
        self._accepting = True

    async def _loop(self, subscription: Subscription) -> None:
        self._accepting = True
        async with asyncio.TaskGroup() as group:
            while True:
                held = await subscription.next()
                if not self._accepting:
                    continue
                task = group.create_task(self._handle(subscription, held))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _finish(self, grace: float) -> None:
        self._accepting = False
        if self._running:
            await asyncio.wait(self._running, timeout=grace)

    async def _handle(self, subscription: Subscription, held: Held) -> None:
        ready = self._read(held)
        if ready.suspect and self._habits.ledger is not None:
            # One suspect at a time: if it kills us, only its own count has grown.
            async with self._suspects:
                outcome = await self._with_ledger(held, lambda: self._outcome(ready))
                await self._settler.settle(subscription, [Settled(held, outcome)])
            return
        await self._settler.settle(subscription, [Settled(held, await self._outcome(ready))])

    async def _outcome(self, ready: Ready[T]) -> Outcome:
        if ready.problem is not None:
            return ready.problem
        value = ready.value
        answer = await guarded(
            lambda: self._handler(value),  # type: ignore[arg-type]  # no problem means there is a value; T may be None
            self._habits.deadline,
            self._habits.classify,
        )
        return answer.outcome if isinstance(answer, Failure) else answer or DONE
