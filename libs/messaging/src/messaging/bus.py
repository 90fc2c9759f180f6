"""The bus port: what travels, what can go wrong, and what a broker must be able to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from messaging.topology import Topology

Header = str | int

MAX_BODY = 4_194_304
IN_FLIGHT = 100

EVENT_ID = "onefolio-event-id"
ATTEMPT = "onefolio-attempt"
PUBLISHED = "onefolio-published-ms"
EXCHANGE = "onefolio-exchange"
ROUTING_KEY = "onefolio-routing-key"
REASON = "onefolio-reason"
FIRST_FAILED = "onefolio-first-failed-at"
TRACE = "onefolio-error"


class BusError(Exception):
    """A message did not get where it should."""


class NotConfirmedError(BusError):
    """The broker did not say that it has the message; it may or may not have it. Publish again, same event id."""


class UnroutableError(BusError):
    """No queue is bound for this routing key, or the exchange is missing; publishing again will not help."""


class MessageTooLargeError(BusError):
    """The body is larger than the broker accepts; it was not sent."""


class BrokerUnreachableError(BusError):
    """No connection to the broker could be made."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish.

    Attributes:
        exchange: its logical name; empty for the default exchange, where `routing_key` names a queue.
        body: at most 4 MiB.
        event_id: stable over repeated publishing; receivers deduplicate by it.
        type: the message type (`onefolio.holdings.snapshot.v1`).
        headers: extra headers, such as `traceparent`.
    """

    exchange: str
    routing_key: str
    body: bytes
    event_id: str
    type: str
    headers: Mapping[str, Header] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.body) > MAX_BODY:
            raise MessageTooLargeError(
                f"{self.type} has {len(self.body)} bytes; at most {MAX_BODY} are allowed"
            )


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as a handler gets it. `attempt` is 1 the first time; exchange and key are the original ones."""

    queue: str
    exchange: str
    routing_key: str
    body: bytes
    event_id: str
    type: str
    attempt: int = 1
    redelivered: bool = False
    published_at: datetime | None = None
    headers: Mapping[str, Header] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A delivery that is not settled yet; `token` belongs to the bus that gave it out."""

    delivery: Delivery
    token: object


class Subscription(Protocol):
    """Deliveries of one queue, at most `prefetch` of them unsettled."""

    async def next(self) -> Held:
        """Wait for the next delivery; one that went stale with its connection is never returned."""
        ...

    async def ack(self, held: Sequence[Held], *, and_all_before: bool = False) -> None:
        """Settle deliveries; one whose connection is gone is ignored, for it will come again.

        `and_all_before` settles with one frame everything given out up to the last of them.
        """
        ...

    async def requeue(self, held: Sequence[Held]) -> None:
        """Hand deliveries back; they come again at once, so this is for giving up, not for retrying."""
        ...

    async def pause(self) -> None:
        """Ask for no more deliveries; those already here can still be settled."""
        ...

    async def close(self) -> None:
        """End it; whatever is unsettled goes back to the queue."""
        ...


class Bus(Protocol):
    """A broker with one topology."""

    topology: Topology

    async def publish(self, message: Outgoing) -> None:
        """Publish and wait for the broker's confirmation.

        Raises:
            UnroutableError: no queue would get it.
            NotConfirmedError: refused, timed out or disconnected.
        """
        ...

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[BusError | None]:
        """Publish side by side, up to 100 unconfirmed; one result per message, None where it is confirmed."""
        ...

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        """Take deliveries of a work queue; several subscribers compete for them."""
        ...

    async def fetch(self, queue: str, limit: int) -> Subscription:
        """Hold up to `limit` messages that are in the queue now; its `next` raises `QueueDrainedError` after them."""
        ...

    async def depth(self, queue: str) -> int:
        """Messages ready in the queue; brokers report it some seconds late."""
        ...

    async def close(self) -> None:
        """Leave the broker: subscriptions first, then the publishing side."""
        ...


class QueueDrainedError(BusError):
    """A fetch came to the end of the queue."""
