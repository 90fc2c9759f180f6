"""Consuming in batches: one handler call for what is there, never a wait for more.

While a batch is being committed the next messages are received and decoded. With an idle queue a batch is one message,
at once; under load it grows to the limit by itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from messaging.bus import Bus, Delivery, Subscription
from messaging.consume import DEFAULT, Consumer, Habits, Ready
from messaging.guarded import Failure, guarded
from messaging.policy import Outcome, Retry, TransientError
from messaging.settle import Settled

T = TypeVar("T")
BATCH = 100
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
TIMEOUTS_BEFORE_GIVING_UP = 3


class BatchConsumer(Consumer[T]):
    """Up to `limit` messages per call, one call at a time.

    The handler returns one outcome per value, in order. If it raises, the batch is split and each value is tried alone,
    so that one bad message never blocks the others; only a `TransientError` (or what `classify` makes a wait of)
    speaks for the whole batch. A message that was delivered before is always handled alone.
    """

    def __init__(
        self,
        bus: Bus,
        queue: str,
        decode: Callable[[Delivery], T],
        handler: Callable[[Sequence[T]], Awaitable[Sequence[Outcome]]],
        *,
        limit: int = BATCH,
        habits: Habits = DEFAULT,
    ) -> None:
        super().__init__(bus, queue, decode, habits=habits)
        self._handler = handler
        self._limit = limit
        self._ready: deque[Ready[T]] = deque()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._pause = 0.0

    async def _loop(self, subscription: Subscription) -> None:
        self._ready.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive(subscription))
            group.create_task(self._work(subscription))

    async def _finish(self, grace: float) -> None:
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return

    async def _receive(self, subscription: Subscription) -> None:
        while True:
            self._ready.append(self._read(await subscription.next()))
            self._arrived.set()
            # Decoding a burst must not keep the running batch from its next step.
            await asyncio.sleep(0)

    async def _work(self, subscription: Subscription) -> None:
        while True:
            await self._arrived.wait()
            if self._stopping.is_set():
                return
            self._idle.clear()
            try:
                batch = self._take()
                outcomes = await self._outcomes(batch)
                settled = [
                    Settled(ready.held, outcome) for ready, outcome in zip(batch, outcomes, strict=True)
                ]
                await self._settler.settle(subscription, settled, in_order=True)
            finally:
                self._idle.set()
            # When what every handler needs is away, the next batch would only run into it too.
            await asyncio.sleep(self._pause)

    def _take(self) -> list[Ready[T]]:
        """The next batch: a suspect alone, or others up to the limit or the next suspect."""
        batch = [self._ready.popleft()]
        if not self._alone(batch[0]):
            while self._ready and len(batch) < self._limit and not self._alone(self._ready[0]):
                batch.append(self._ready.popleft())
        if not self._ready:
            self._arrived.clear()
        return batch

    def _alone(self, ready: Ready[T]) -> bool:
        return ready.suspect and self._habits.ledger is not None

    async def _outcomes(self, batch: list[Ready[T]]) -> list[Outcome]:
        good = [ready for ready in batch if ready.problem is None]
        if len(batch) == 1 and good:
            found = [await self._with_ledger(batch[0].held, lambda: self._one(batch[0]))]
        else:
            found = await self._together(good) if good else []
        handled = iter(found)
        return [ready.problem if ready.problem is not None else next(handled) for ready in batch]

    async def _together(self, batch: list[Ready[T]]) -> list[Outcome]:
        answer = await self._call(batch)
        if not isinstance(answer, Failure):
            return list(answer)
        if _speaks_for_all(answer):
            return [answer.outcome] * len(batch)
        return await self._one_by_one(batch)

    async def _one_by_one(self, batch: list[Ready[T]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        timeouts = 0
        for ready in batch:
            if timeouts >= TIMEOUTS_BEFORE_GIVING_UP:
                outcomes.append(Retry("the messages before it took too long"))
                continue
            answer = await self._call([ready])
            slow = isinstance(answer, Failure) and isinstance(answer.error, TimeoutError)
            timeouts = timeouts + 1 if slow else 0
            outcomes.append(answer.outcome if isinstance(answer, Failure) else answer[0])
        return outcomes

    async def _one(self, ready: Ready[T]) -> Outcome:
        return (await self._one_by_one([ready]))[0]

    async def _call(self, batch: list[Ready[T]]) -> Sequence[Outcome] | Failure:
        values: list[T] = [ready.value for ready in batch]  # type: ignore[misc]  # no problem means there is a value

        async def checked() -> Sequence[Outcome]:
            outcomes = await self._handler(values)
            if len(outcomes) != len(values):
                raise RuntimeError(f"the handler gave {len(outcomes)} outcomes for {len(values)} messages")
            return outcomes

        answer = await guarded(checked, self._habits.deadline, self._habits.classify)
        away = isinstance(answer, Failure) and _speaks_for_all(answer)
        self._pause = min(max(FIRST_PAUSE, self._pause * 2), LONGEST_PAUSE) if away else 0.0
        return answer


def _speaks_for_all(failure: Failure) -> bool:
    return isinstance(failure.error, TransientError) or (
        isinstance(failure.outcome, Retry) and failure.outcome.wait is not None
    )
