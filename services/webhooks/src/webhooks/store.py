"""The table `webhook_events`: deliveries are kept in it, once each, and published from it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from contracts.signals import WebhookDelivery
from messaging.publishing import outgoing_command
from persistence.database import Connection, Database
from persistence.outbox import Backlog, Failure, OutboxMessage, failure_columns
from webhooks.blanking import blanked
from webhooks.delivery import Age, Authentic, RawDelivery, plain
from webhooks.summary import summary_of

SOURCE = "webhooks"
HEADERS = ("content-type", "user-agent", "signature", "plaid-verification")
HEADER_LIMIT = 2048


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified delivery with what is kept of it."""

    raw: RawDelivery
    authentic: Authentic
    received_at: datetime
    traceparent: str


class Store:
    """Keeps deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entry: Entry) -> bool:
        """Keep a delivery, committed on return; False if a copy of it is there already.

        Raises:
            DatabaseUnavailable: nothing was kept.
        """
        values = _row(entry)

        async def work() -> bool:
            async with self._database.transaction() as conn:
                cursor = await conn.execute(_ADD, values)
                return cursor.rowcount == 1

        return await self._database.retrying(work)


class WebhookOutbox:
    """The table as the relay sees it: rows in state `stored` are commands not yet published."""

    channel = "webhooks_outbox"

    async def claim(self, conn: Connection, limit: int) -> list[OutboxMessage]:
        """Lock the oldest unpublished deliveries that are due; rows others hold are passed over."""
        cursor = await conn.execute(_CLAIM, (limit,))
        return [_message(row) for row in await cursor.fetchall()]

    async def settle(self, conn: Connection, published: Sequence[int], failed: Sequence[Failure]) -> None:
        """Mark confirmed deliveries published and put the others off."""
        if published:
            await conn.execute(_PUBLISHED, (list(published),))
        if failed:
            await conn.execute(_FAILED, failure_columns(failed))

    async def backlog(self, conn: Connection) -> Backlog:
        """Measure what is unpublished."""
        row = await (await conn.execute(_BACKLOG)).fetchone()
        return Backlog(*row) if row else Backlog(0, timedelta(0))

    async def purge(self, conn: Connection, older_than: timedelta, limit: int) -> int:
        """Delete settled deliveries of that age, `limit` at most; returns how many went.

        With a row goes the knowledge that its delivery was here; a copy that comes later is new.
        """
        return (await conn.execute(_PURGE, (older_than, limit))).rowcount


def _row(entry: Entry) -> dict[str, Any]:
    raw, authentic = entry.raw, entry.authentic
    return {
        "provider": raw.provider,
        "dedupe_key": authentic.dedupe_key,
        "kind": authentic.kind,
        "age": authentic.age,
        "sent_at": authentic.sent_at,
        "received_at": entry.received_at,
        "headers": Jsonb({n: plain(raw.headers[n], HEADER_LIMIT) for n in HEADERS if n in raw.headers}),
        "body": blanked(raw.body.decode()),
        "body_sha256": hashlib.sha256(raw.body).hexdigest(),
        "summary": Jsonb(summary_of(authentic.document)),
        "state": "refused" if authentic.age is Age.TOO_OLD else "stored",
        "traceparent": entry.traceparent,
    }


def _message(row: Sequence[Any]) -> OutboxMessage:
    identity, delivery_id, provider, kind, received_at, body, traceparent, attempts = row
    command = WebhookDelivery(
        delivery_id=str(delivery_id), provider=provider, kind=kind, received_at=received_at, body=body
    )
    # Everything in the message comes from the row, so publishing it again publishes the same event id.
    outgoing = outgoing_command(provider, command, source=SOURCE, time=received_at, traceparent=traceparent)
    return OutboxMessage(
        identity,
        outgoing.event_id,
        outgoing.exchange,
        outgoing.routing_key,
        outgoing.type,
        outgoing.body,
        attempts,
    )


_ADD = """
INSERT INTO webhooks.webhook_events
    (provider, dedupe_key, kind, age, sent_at, received_at, headers, body, body_sha256, summary, verified, state, traceparent)
VALUES (%(provider)s, %(dedupe_key)s, %(kind)s, %(age)s, %(sent_at)s, %(received_at)s, %(headers)s, %(body)s,
        %(body_sha256)s, %(summary)s, true, %(state)s, %(traceparent)s)
ON CONFLICT ON CONSTRAINT one_row_per_delivery DO NOTHING
"""
_CLAIM = """
SELECT id, delivery_id, provider, kind, received_at, body, traceparent, attempts FROM webhooks.webhook_events
WHERE state = 'stored' AND due_at <= clock_timestamp()
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_PUBLISHED = """
UPDATE webhooks.webhook_events SET state = 'published', published_at = clock_timestamp(), error = NULL
WHERE id = ANY(%s)
"""
_FAILED = """
UPDATE webhooks.webhook_events AS e
SET attempts = e.attempts + 1, error = f.error, due_at = clock_timestamp() + f.wait
FROM unnest(%s::bigint[], %s::text[], %s::interval[]) AS f(id, error, wait) WHERE e.id = f.id
"""
_BACKLOG = """
SELECT count(*), coalesce(clock_timestamp() - min(received_at), interval '0')
FROM webhooks.webhook_events WHERE state = 'stored'
"""
_PURGE = """
DELETE FROM webhooks.webhook_events WHERE id IN (
    SELECT id FROM webhooks.webhook_events
    WHERE received_at < clock_timestamp() - %s::interval AND state <> 'stored'
    LIMIT %s FOR UPDATE SKIP LOCKED)
"""
