"""The bus in memory: the same topology, retries and parking without a broker, for tests and single processes."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from messaging.bus import (
    ATTEMPT,
    EVENT_ID,
    EXCHANGE,
    PUBLISHED,
    ROUTING_KEY,
    BusError,
    Delivery,
    Header,
    Held,
    NotConfirmedError,
    Outgoing,
    QueueDrainedError,
    Subscription,
    UnroutableError,
)
from messaging.topology import DROP_HEAD, REJECT_PUBLISH, QueueDeclaration, Topology


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a queue."""

    message: Outgoing
    exchange: str
    routing_key: str
    deliveries: int = 0


@dataclass(slots=True)
class MemoryQueue:
    """A queue: what waits in it, and who wants it."""

    declaration: QueueDeclaration
    waiting: deque[Stored] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryBus:
    """A bus whose queues live and die with this object."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._queues: dict[str, MemoryQueue] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._subscriptions: set[MemorySubscription] = set()
        for declaration in topology.declarations():
            self._queues[declaration.name] = MemoryQueue(declaration)

    async def publish(self, message: Outgoing) -> None:
        """Put it in every queue bound for it."""
        await asyncio.sleep(0)
        targets = self._targets(message)
        if not targets:
            raise UnroutableError(
                f"{message.type} to {message.exchange} {message.routing_key}: no queue is bound"
            )
        full = [queue for queue in targets if _is_full(queue)]
        if full:
            raise NotConfirmedError(f"{message.type}: {full[0].declaration.name} is full")
        published = int(datetime.now(UTC).timestamp() * 1000)
        headers: dict[str, Header] = {PUBLISHED: published, **message.headers, EVENT_ID: message.event_id}
        stored = Stored(replace(message, headers=headers), message.exchange, message.routing_key)
        for queue in targets:
            self.store(queue, stored)

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[BusError | None]:
        """Publish one after the other."""
        results: list[BusError | None] = []
        for message in messages:
            try:
                await self.publish(message)
            except BusError as error:
                results.append(error)
            else:
                results.append(None)
        return results

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        """Consume a work queue."""
        self.topology.queue(queue)
        return self._keep(MemorySubscription(self, self._queues[queue], queue, prefetch))

    async def fetch(self, queue: str, limit: int) -> Subscription:
        """Hold what is in a queue now."""
        return self._keep(MemoryFetch(self, self._queues[queue], queue, limit))

    async def depth(self, queue: str) -> int:
        """Messages ready in the queue."""
        return len(self._queues[queue].waiting)

    async def close(self) -> None:
        """End subscriptions and delays."""
        for subscription in list(self._subscriptions):
            await subscription.close()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def store(self, queue: MemoryQueue, stored: Stored, *, first: bool = False) -> None:
        """Put a message into a queue; a queue with a delay passes it on when the delay is over."""
        ttl = queue.declaration.arguments.get("x-message-ttl")
        if ttl is not None:
            target = self._queues[queue.declaration.arguments["x-dead-letter-routing-key"]]
            self._later(ttl / 1000, target, stored)
            return
        queue.waiting.appendleft(stored) if first else queue.waiting.append(stored)
        if _is_over(queue):
            queue.waiting.popleft()
        queue.changed.set()

    def _later(self, delay: float, target: MemoryQueue, stored: Stored) -> None:
        loop = asyncio.get_running_loop()
        self._timers = {timer for timer in self._timers if timer.when() > loop.time()}
        self._timers.add(loop.call_later(delay, self.store, target, stored))

    def give_back(self, queue: MemoryQueue, stored: Stored) -> None:
        """Return an unsettled message to its queue, or park it (where it is parked) when given out too often."""
        arguments = queue.declaration.arguments
        limit, parked = arguments.get("x-delivery-limit"), arguments.get("x-dead-letter-routing-key")
        if limit is None or stored.deliveries <= limit:
            self.store(queue, stored, first=True)
        elif parked is not None:
            self.store(self._queues[parked], stored)

    def forget(self, subscription: "MemorySubscription") -> None:
        """Drop a closed subscription."""
        self._subscriptions.discard(subscription)

    def _targets(self, message: Outgoing) -> list[MemoryQueue]:
        if not message.exchange:
            queue = self._queues.get(message.routing_key)
            return [queue] if queue else []
        return [
            queue
            for queue in self._queues.values()
            if any(
                binding.exchange == message.exchange and matches(binding.pattern, message.routing_key)
                for binding in queue.declaration.bindings
            )
        ]

    def _keep(self, subscription: "MemorySubscription") -> "MemorySubscription":
        self._subscriptions.add(subscription)
        return subscription


class MemorySubscription:
    """Deliveries of one queue in memory."""

    def __init__(self, bus: MemoryBus, queue: MemoryQueue, name: str, prefetch: int) -> None:
        self._bus = bus
        self._queue = queue
        self._name = name
        self._prefetch = prefetch
        self._unsettled: dict[int, Stored] = {}
        self._paused = False

    async def next(self) -> Held:
        """Wait for a message and for room within the prefetch."""
        while True:
            if not self._paused and self._queue.waiting and len(self._unsettled) < self._prefetch:
                return self._take()
            self._queue.changed.clear()
            await self._queue.changed.wait()

    async def ack(self, held: Sequence[Held], *, and_all_before: bool = False) -> None:
        """Forget them."""
        for token in self._tokens(held, and_all_before=and_all_before):
            self._unsettled.pop(token, None)
        self._queue.changed.set()

    async def requeue(self, held: Sequence[Held]) -> None:
        """Hand them back."""
        for token in reversed(self._tokens(held, and_all_before=False)):
            stored = self._unsettled.pop(token, None)
            if stored is not None:
                self._bus.give_back(self._queue, stored)

    async def pause(self) -> None:
        """Take no more."""
        self._paused = True

    async def close(self) -> None:
        """Hand back what is unsettled."""
        self._paused = True
        for token in sorted(self._unsettled, reverse=True):
            self._bus.give_back(self._queue, self._unsettled.pop(token))
        self._bus.forget(self)

    def _take(self) -> Held:
        stored = self._queue.waiting.popleft()
        token = _next_token()
        self._unsettled[token] = replace(stored, deliveries=stored.deliveries + 1)
        if self._queue.waiting:
            self._queue.changed.set()
        return Held(_delivery(stored, self._name), token)

    def _tokens(self, held: Sequence[Held], *, and_all_before: bool) -> list[int]:
        named = [one.token for one in held if isinstance(one.token, int)]
        if not and_all_before or not named:
            return named
        return [token for token in self._unsettled if token <= max(named)]


class MemoryFetch(MemorySubscription):
    """The messages of a queue as they are now."""

    def __init__(self, bus: MemoryBus, queue: MemoryQueue, name: str, limit: int) -> None:
        super().__init__(bus, queue, name, limit)
        self._left = limit

    async def next(self) -> Held:
        """Take the next one."""
        if self._left <= 0 or not self._queue.waiting:
            raise QueueDrainedError(f"nothing more in {self._name}")
        self._left -= 1
        return self._take()


def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern (`*` one word, `#` any number of words) fits a routing key."""
    return _fits(pattern.split("."), key.split("."))


def _fits(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_fits(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in {"*", words[0]} and _fits(pattern[1:], words[1:])


def _is_full(queue: MemoryQueue) -> bool:
    """Whether it takes no more; one that drops its oldest always does."""
    limit = _limit(queue, REJECT_PUBLISH)
    return limit is not None and len(queue.waiting) >= limit


def _is_over(queue: MemoryQueue) -> bool:
    """Whether its oldest message must go."""
    limit = _limit(queue, DROP_HEAD)
    return limit is not None and len(queue.waiting) > limit


def _limit(queue: MemoryQueue, overflow: str) -> int | None:
    arguments = queue.declaration.arguments
    return arguments.get("x-max-length") if arguments.get("x-overflow") == overflow else None


def _delivery(stored: Stored, queue: str) -> Delivery:
    headers = stored.message.headers
    attempts, published = headers.get(ATTEMPT, 0), headers.get(PUBLISHED)
    return Delivery(
        queue=queue,
        exchange=str(headers.get(EXCHANGE, stored.exchange)),
        routing_key=str(headers.get(ROUTING_KEY, stored.routing_key)),
        body=stored.message.body,
        event_id=stored.message.event_id,
        type=stored.message.type,
        attempt=(attempts if isinstance(attempts, int) else 0) + 1,
        redelivered=stored.deliveries > 0,
        published_at=datetime.fromtimestamp(published / 1000, UTC) if isinstance(published, int) else None,
        headers=headers,
    )


_tokens = iter(range(1, 2**62))


def _next_token() -> int:
    return next(_tokens)
