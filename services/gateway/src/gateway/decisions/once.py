"""Idempotency keys: a request sent again under its key finds what it made the first time."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

from contracts.errors import ErrorCode
from gateway.decisions.decider import Decider
from gateway.refusals import refusal
from persistence.database import Connection

RETENTION = timedelta(days=7)
REPLAYED = {"Idempotency-Replayed": "true"}
"""The header of an answer to a request that had been answered before."""


async def made_before(
    conn: Connection, who: Decider, action: str, asked: Mapping[str, Any], *, object_id: UUID, now: datetime
) -> UUID | None:
    """The id of what this key made earlier; None where it is new (or there is none) and now means ``object_id``.

    The key is kept in the caller's transaction: what is refused afterwards leaves no key behind.

    Raises:
        ApiError: 422, the key came with another request before.
    """
    if who.key is None:
        return None
    fingerprint = blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=16).hexdigest()
    place = (who.user_id, who.by, action, who.key)
    await conn.execute(
        "DELETE FROM gateway.idempotency_keys WHERE user_id = %s AND created_at < %s",
        (who.user_id, now - RETENTION),
    )
    kept = await conn.execute(
        """INSERT INTO gateway.idempotency_keys (user_id, actor, action, key, fingerprint, object_id, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        (*place, fingerprint, object_id, now),
    )
    if kept.rowcount == 1:
        return None
    cursor = await conn.execute(
        """SELECT fingerprint, object_id FROM gateway.idempotency_keys
        WHERE user_id = %s AND actor = %s AND action = %s AND key = %s""",
        place,
    )
    row = await cursor.fetchone()
    if row is None or row[0] != fingerprint:
        message = "The Idempotency-Key came with another request before."
        raise refusal(ErrorCode.VALIDATION_FAILED, message)
    return UUID(str(row[1]))
