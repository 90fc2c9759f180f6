"""Reading orders of ours: pages of them, and one with its history."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.reads.pages import Answer, answer, read_cursor
from gateway.refusals import not_found
from gateway.trading import intents, settle, story
from gateway.trading.intents import Intent
from persistence.database import Database

_KEYS: dict[str, Callable[[str], Any]] = {"moment": datetime.fromisoformat, "last": UUID}


async def page(
    database: Database, user_id: str, account_id: UUID | None, *, cursor: str | None, limit: int
) -> Answer:
    """A page of the user's orders, newest first."""
    after = place_after(cursor)
    async with database.transaction(user_id) as conn:
        found = await intents.page(conn, user_id, account_id=account_id, after=after, limit=limit + 1)
    items = [story.shown(one) for one in found[:limit]]
    return answer(story.text({"items": items, "next_cursor": cursor_after(found, limit)}))


async def one(database: Database, user_id: str, intent_id: UUID) -> Answer:
    """An order of the user's, with everything that happened to it.

    Raises:
        ApiError: 404, there is none.
    """
    async with database.transaction(user_id) as conn:
        intent = await intents.find(conn, user_id, intent_id)
        if intent is None:
            raise not_found("order")
        steps = await settle.steps(conn, user_id, intent_id)
        heir = await intents.heir(conn, user_id, intent_id)
    return answer(story.text(story.told(intent, steps, None if heir is None else str(heir))))


def place_after(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Where a list goes on.

    Raises:
        ApiError: 422, this is no cursor of such a list.
    """
    keys = read_cursor(cursor, _KEYS)
    return None if keys is None else (keys["moment"], keys["last"])


def cursor_after(found: Sequence[Intent], limit: int) -> str | None:
    """The cursor after a page, where there is more."""
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    keys = json.dumps([last.created_at.isoformat(), str(last.intent_id)])
    return base64.urlsafe_b64encode(keys.encode()).decode().rstrip("=")
