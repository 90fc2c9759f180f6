"""Conservation checks: whether what is counted of each real account adds up to its provider's own total."""

from enum import StrEnum
from uuid import UUID

from gateway.reads.meanings import WORDS, meaning
from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from persistence.database import Database


class Outcome(StrEnum):
    """What a check can find."""

    OK = "ok"
    BREAK = "break"
    UNKNOWN = "unknown"


CHECK = f"""json_build_object('real_account_id', k.real_account_id, 'account_id', k.account_id,
    'outcome', k.outcome, 'reason', k.reason, 'meaning', {meaning("k.reason", "checks")},
    'counted', trim_scale(k.counted)::text, 'expected', trim_scale(k.expected)::text,
    'difference', trim_scale(k.difference)::text, 'currency', k.currency, 'checked_at', k.checked_at)"""
"""A row of ``v_account_checks`` as ``k``; takes the parameter ``WORDS``."""
_LIST = f"""
WITH page AS (
    SELECT k.real_account_id, row_number() OVER (ORDER BY k.real_account_id) AS n, {CHECK} AS item
    FROM portfolio.v_account_checks k
    WHERE k.user_id = %(user)s AND (%(outcome)s::text IS NULL OR k.outcome = %(outcome)s)
        AND (%(after_id)s::uuid IS NULL OR k.real_account_id > %(after_id)s::uuid)
    ORDER BY k.real_account_id LIMIT %(limit)s + 1)
SELECT json_build_object(
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="real_account_id")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
"""  # noqa: S608 - constants of this module


async def page(
    database: Database, user_id: str, outcome: Outcome | None, *, cursor: str | None, limit: int
) -> Answer:
    """A page of the user's checks, one per real account."""
    after = read_cursor(cursor, {"after_id": UUID}) or {"after_id": None}
    values = {"user": user_id, "outcome": outcome and outcome.value, "limit": limit} | after | WORDS
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_LIST, values)).fetchone()
    return answer(row[0] if row else "")
