"""Our messages as AMQP messages and back."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage

from contracts.envelope import CONTENT_TYPE
from messaging.bus import ATTEMPT, EVENT_ID, EXCHANGE, PUBLISHED, ROUTING_KEY, Delivery, Header, Outgoing


def to_amqp(message: Outgoing, app: str) -> Message:
    """A persistent AMQP message.

    The message id is new for every attempt: the client matches returned messages by it, and two concurrent publishes
    of one id would swap their results. The event id, which is stable, travels in a header.
    """
    now = datetime.now(UTC)
    headers: dict[str, Any] = {PUBLISHED: int(now.timestamp() * 1000), **message.headers}
    headers[EVENT_ID] = message.event_id
    return Message(
        message.body,
        headers=headers,
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=uuid.uuid4().hex,
        timestamp=now,
        type=message.type,
        app_id=app,
    )


def from_amqp(message: AbstractIncomingMessage, queue: str, prefix: str) -> Delivery:
    """A delivery; one that came back from a retry tier shows its first exchange, key and attempts."""
    headers = plain(message.headers)
    published = headers.get(PUBLISHED)
    attempts = headers.get(ATTEMPT, 0)
    return Delivery(
        queue=queue,
        exchange=str(headers.get(EXCHANGE, (message.exchange or "").removeprefix(prefix))),
        routing_key=str(headers.get(ROUTING_KEY, message.routing_key or "")),
        body=message.body,
        event_id=str(headers.get(EVENT_ID) or message.message_id or ""),
        type=message.type or "",
        attempt=(attempts if isinstance(attempts, int) else 0) + 1,
        redelivered=bool(message.redelivered),
        published_at=datetime.fromtimestamp(published / 1000, UTC) if isinstance(published, int) else None,
        headers=headers,
    )


def plain(headers: Mapping[str, Any]) -> dict[str, Header]:
    """The headers that are text or whole numbers; a broker's tables and lists are left out."""
    found: dict[str, Header] = {}
    for name, value in headers.items():
        if isinstance(value, bytes):
            found[name] = value.decode("utf-8", "replace")
        elif isinstance(value, str | int):
            found[name] = value
    return found
