"""Commands to connectors, facts for everybody, and the audit trail: written in the transaction that decides them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from contracts.messages import Command, Event
from messaging.publishing import outgoing_command, outgoing_event
from persistence.database import Connection
from persistence.outbox import add
from service_kit import tracing

SCHEMA = "gateway"
SOURCE = "gateway"


async def send(conn: Connection, provider: str, command: Command, now: datetime) -> None:
    """Put a command for a provider's connector into the outbox; it leaves when the transaction commits."""
    message = outgoing_command(provider, command, source=SOURCE, time=now, traceparent=tracing.outgoing())
    await add(conn, SCHEMA, [message])


async def send_event(conn: Connection, event: Event, now: datetime) -> None:
    """Put a fact into the outbox; it leaves when the transaction commits.

    Raises:
        MessageTooLargeError: more than 4 MiB.
    """
    message = outgoing_event(event, source=SOURCE, time=now, traceparent=tracing.outgoing())
    await add(conn, SCHEMA, [message])


async def note(
    conn: Connection,
    user_id: str,
    action: str,
    object_id: object,
    *,
    details: Mapping[str, Any],
    request_id: str,
    now: datetime,
) -> None:
    """Write down who did what; ``details`` hold no secret."""
    await conn.execute(
        """INSERT INTO gateway.audit_log (user_id, action, object_id, details, request_id, at)
        VALUES (%s, %s, %s, %s, %s, %s)""",
        (user_id, action, None if object_id is None else str(object_id), Jsonb(details), request_id, now),
    )
