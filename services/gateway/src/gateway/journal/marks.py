"""The table ``gateway.journal_marks``: one row for each transaction that was ever marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway import commands
from gateway.context import Gateway
from gateway.reads import transactions
from persistence.database import Connection

ACTION, BULK_ACTION = "transactions.journal_marked", "transactions.journal_marked_in_bulk"
MEMBERS = ("synced_to_journal", "journal_trade_id", "sync_notes")
_KNOWN = """SELECT transaction_id FROM portfolio.v_transactions
    WHERE user_id = %s AND transaction_id = ANY(%s)"""
# A member that is not given stays as it is; a mark that would change nothing is not touched.
_MARK = """
INSERT INTO gateway.journal_marks AS m
    (user_id, transaction_id, synced_to_journal, journal_trade_id, sync_notes, updated_at)
SELECT %(user)s, k.transaction_id, coalesce(%(synced_to_journal)s, false), %(journal_trade_id)s, %(sync_notes)s, %(now)s
FROM unnest(%(ids)s::uuid[]) AS k(transaction_id)
WHERE %(synced_to_journal)s OR %(journal_trade_id)s::text IS NOT NULL OR %(sync_notes)s::text IS NOT NULL
    OR EXISTS (SELECT 1 FROM gateway.journal_marks o
        WHERE o.user_id = %(user)s AND o.transaction_id = k.transaction_id)
ORDER BY k.transaction_id
ON CONFLICT (user_id, transaction_id) DO UPDATE SET
    synced_to_journal = CASE WHEN 'synced_to_journal' = ANY(%(given)s) THEN EXCLUDED.synced_to_journal
        ELSE m.synced_to_journal END,
    journal_trade_id = CASE WHEN 'journal_trade_id' = ANY(%(given)s) THEN EXCLUDED.journal_trade_id
        ELSE m.journal_trade_id END,
    sync_notes = CASE WHEN 'sync_notes' = ANY(%(given)s) THEN EXCLUDED.sync_notes ELSE m.sync_notes END,
    updated_at = EXCLUDED.updated_at
WHERE ('synced_to_journal' = ANY(%(given)s) AND m.synced_to_journal <> EXCLUDED.synced_to_journal)
    OR ('journal_trade_id' = ANY(%(given)s) AND m.journal_trade_id IS DISTINCT FROM EXCLUDED.journal_trade_id)
    OR ('sync_notes' = ANY(%(given)s) AND m.sync_notes IS DISTINCT FROM EXCLUDED.sync_notes)
RETURNING transaction_id
"""


@dataclass(frozen=True, slots=True)
class Marked:
    """What became of marking many: those that changed, how many were so already, and ids of nothing."""

    changed: tuple[UUID, ...]
    unchanged: int
    not_found: tuple[UUID, ...]


async def mark(
    gateway: Gateway, user_id: str, transaction_id: UUID, wish: Mapping[str, Any], request_id: str
) -> str:
    """Mark one transaction as ``wish`` (of ``MEMBERS``) says, and return it as JSON text.

    Raises:
        ApiError: 404, none of the user's.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(user_id) as conn:
        await transactions.one(conn, user_id, transaction_id)
        if await _write(conn, user_id, [transaction_id], wish, now):
            details = {"changed": sorted(wish), "synced_to_journal": wish.get("synced_to_journal")}
            await commands.note(
                conn, user_id, ACTION, transaction_id, details=details, request_id=request_id, now=now
            )
        return await transactions.one(conn, user_id, transaction_id)


async def mark_many(
    gateway: Gateway, user_id: str, ids: Sequence[UUID], wish: Mapping[str, Any], request_id: str
) -> Marked:
    """Mark those of the transactions that are the user's; the others are named."""
    now, wanted = gateway.clock.now(), list(dict.fromkeys(ids))
    async with gateway.database.transaction(user_id) as conn:
        found = {row[0] for row in await (await conn.execute(_KNOWN, (user_id, wanted))).fetchall()}
        known = [one for one in wanted if one in found]
        changed = await _write(conn, user_id, known, wish, now)
        if changed:
            details = {
                "changed": sorted(wish),
                "synced_to_journal": wish.get("synced_to_journal"),
                "transaction_ids": [str(one) for one in sorted(changed)],
            }
            await commands.note(
                conn, user_id, BULK_ACTION, None, details=details, request_id=request_id, now=now
            )
    missing = tuple(one for one in wanted if one not in found)
    return Marked(tuple(sorted(changed)), len(known) - len(changed), missing)


async def _write(
    conn: Connection, user_id: str, ids: Sequence[UUID], wish: Mapping[str, Any], now: datetime
) -> list[UUID]:
    """The ids whose marks changed."""
    values = {name: wish.get(name) for name in MEMBERS}
    values |= {"user": user_id, "ids": list(ids), "given": list(wish), "now": now}
    return [row[0] for row in await (await conn.execute(_MARK, values)).fetchall()]
