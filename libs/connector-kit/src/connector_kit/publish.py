"""Publishing events: framed, confirmed, side by side."""

from connector_kit.engine import Engine
from contracts.messages import Event
from messaging.publishing import outgoing_event
from service_kit import tracing


async def publish(engine: Engine, *events: Event) -> None:
    """Publish events and wait until the broker has them all.

    Raises:
        BusError: one of them was not confirmed; the others may have been, which does no harm.
    """
    traceparent = tracing.outgoing()
    messages = [
        outgoing_event(
            event, source=f"{engine.provider}-connector", time=engine.clock.now(), traceparent=traceparent
        )
        for event in events
    ]
    for error in await engine.bus.publish_many(messages):
        if error is not None:
            raise error
