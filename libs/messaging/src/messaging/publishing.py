"""Facts and commands of the contracts as messages for the bus, and back."""

from datetime import datetime

from contracts import envelope
from contracts.envelope import Received
from contracts.messages import TYPE_OF, Command, Event
from contracts.topics import COMMAND_EXCHANGE, EVENT_EXCHANGE, command_key, event_key
from messaging.bus import Bus, Delivery, Header, Outgoing


def outgoing_event(event: Event, *, source: str, time: datetime, traceparent: str | None = None) -> Outgoing:
    """A fact, framed; its event id is derived from its content, so saying it twice is harmless.

    Raises:
        MessageTooLargeError: more than 4 MiB.
    """
    identity, body = envelope.encode(event, source=source, time=time, traceparent=traceparent)
    kind = TYPE_OF[type(event)]
    return Outgoing(EVENT_EXCHANGE, event_key(event), body, identity, kind, _tracing(traceparent))


def outgoing_command(
    provider: str, command: Command, *, source: str, time: datetime, traceparent: str | None = None
) -> Outgoing:
    """A command for one provider's connector, framed."""
    identity, body = envelope.encode(command, source=source, time=time, traceparent=traceparent)
    key = command_key(provider, command)
    return Outgoing(COMMAND_EXCHANGE, key, body, identity, TYPE_OF[type(command)], _tracing(traceparent))


async def publish_event(
    bus: Bus, event: Event, *, source: str, time: datetime, traceparent: str | None = None
) -> str:
    """Publish a fact with confirmation and return its event id."""
    message = outgoing_event(event, source=source, time=time, traceparent=traceparent)
    await bus.publish(message)
    return message.event_id


async def publish_command(
    bus: Bus, provider: str, command: Command, *, source: str, time: datetime, traceparent: str | None = None
) -> str:
    """Publish a command with confirmation and return its event id.

    Raises:
        UnroutableError: the provider has no connector queue.
    """
    message = outgoing_command(provider, command, source=source, time=time, traceparent=traceparent)
    await bus.publish(message)
    return message.event_id


def received(delivery: Delivery) -> Received:
    """Read a delivery; the consume loops park what raises `BadMessageError`."""
    return envelope.decode(delivery.body)


def _tracing(traceparent: str | None) -> dict[str, Header]:
    return {"traceparent": traceparent} if traceparent else {}
