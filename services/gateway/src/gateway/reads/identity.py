"""Which accounts are one: who belongs together, why, what was decided, and what waits for a decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refusals import not_found
from persistence.database import Connection


def sight(alias: str) -> str:
    """SQL: an account as people tell accounts apart."""
    return f"""json_build_object('account_id', {alias}.account_id, 'connection_id', {alias}.connection_id,
    'provider', {alias}.provider, 'institution', {alias}.institution, 'name', {alias}.name,
    'mask', {alias}.mask, 'type', {alias}.type, 'currency', {alias}.currency,
    'real_account_id', {alias}.real_account_id, 'counted', {alias}.counted,
    'rule', CASE WHEN {alias}.counted THEN {alias}.counted_reason ELSE {alias}.excluded_rule END)"""


_OF_ACCOUNT = f"""
WITH pairs AS (
    SELECT CASE WHEN e.account_id = %(account)s THEN e.other_account_id ELSE e.account_id END AS other_id,
        e.verdict, e.rule, e.score, e.reasons
    FROM portfolio.v_identity_evidence e
    WHERE e.user_id = %(user)s AND %(account)s IN (e.account_id, e.other_account_id))
SELECT json_build_object('account_id', a.account_id, 'real_account_id', a.real_account_id,
    'needs_decision', a.needs_decision,
    'members', (SELECT json_agg({sight("m")} ORDER BY m.account_id) FROM portfolio.v_accounts m
        WHERE m.user_id = a.user_id
            AND (m.account_id = a.account_id OR m.real_account_id = a.real_account_id)),
    'evidence', (SELECT coalesce(json_agg(json_build_object('account', {sight("o")}, 'verdict', p.verdict,
        'rule', p.rule, 'score', trim_scale(p.score)::text, 'reasons', p.reasons)
        ORDER BY p.score DESC, o.account_id), '[]')
        FROM pairs p JOIN portfolio.v_accounts o ON o.user_id = a.user_id AND o.account_id = p.other_id),
    'decisions', (SELECT coalesce(json_agg(json_build_object('decision_id', d.decision_id,
        'account_ids', json_build_array(d.account_id, d.other_account_id), 'verdict', d.verdict,
        'decided_by', d.decided_by, 'decided_at', d.decided_at, 'holds', d.holds)
        ORDER BY d.decided_at DESC, d.decision_id DESC), '[]')
        FROM portfolio.v_identity_decisions d
        WHERE d.user_id = a.user_id AND a.account_id IN (d.account_id, d.other_account_id)))::text
FROM portfolio.v_accounts a WHERE a.user_id = %(user)s AND a.account_id = %(account)s
"""  # noqa: S608 - constants of this module
_PENDING = f"""
WITH page AS (
    SELECT a.account_id, b.account_id AS other_account_id,
        row_number() OVER (ORDER BY a.account_id, b.account_id) AS n,
        json_build_object('real_account_id', a.real_account_id,
            'accounts', json_build_array({sight("a")}, {sight("b")}), 'verdict', e.verdict, 'rule', e.rule,
            'score', trim_scale(e.score)::text, 'reasons', e.reasons) AS item
    FROM portfolio.v_identity_evidence e
    JOIN portfolio.v_accounts a ON a.user_id = e.user_id AND a.account_id = e.account_id
    JOIN portfolio.v_accounts b ON b.user_id = e.user_id AND b.account_id = e.other_account_id
    WHERE e.user_id = %(user)s AND e.verdict = 'needs_decision'
        AND a.real_account_id = b.real_account_id AND a.needs_decision
        AND (%(after_id)s::uuid IS NULL
            OR (a.account_id, b.account_id) > (%(after_id)s::uuid, %(after_other)s::uuid))
    ORDER BY a.account_id, b.account_id LIMIT %(limit)s + 1)
SELECT json_build_object(
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="account_id, other_account_id")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class Present:
    """What deciding about an account needs."""

    account_id: UUID
    connection_id: UUID
    real_account_id: UUID | None


@dataclass(frozen=True, slots=True)
class Holding:
    """The decision of a pair that holds."""

    verdict: str
    decided_at: datetime


async def of_account(conn: Connection, user_id: str, account_id: UUID) -> Answer:
    """The real account of one account: its members, the evidence and the decisions.

    Raises:
        ApiError: 404, none of the user's.
    """
    values = {"user": user_id, "account": account_id}
    row = await (await conn.execute(_OF_ACCOUNT, values)).fetchone()
    if row is None:
        raise not_found("account")
    return answer(row[0])


async def pending(conn: Connection, user_id: str, *, cursor: str | None, limit: int) -> Answer:
    """A page of the pairs that somebody must decide about."""
    after = read_cursor(cursor, {"after_id": UUID, "after_other": UUID})
    values = {"user": user_id, "limit": limit} | (after or {"after_id": None, "after_other": None})
    row = await (await conn.execute(_PENDING, values)).fetchone()
    return answer(row[0] if row else "")


async def present(conn: Connection, user_id: str, account_ids: Sequence[UUID]) -> dict[UUID, Present]:
    """Those of the accounts that are the user's and present."""
    async with conn.cursor(row_factory=class_row(Present)) as cursor:
        await cursor.execute(
            """SELECT account_id, connection_id, real_account_id FROM portfolio.v_accounts
            WHERE user_id = %s AND account_id = ANY (%s::uuid[])""",
            (user_id, list(account_ids)),
        )
        return {row.account_id: row for row in await cursor.fetchall()}


async def holding(conn: Connection, user_id: str, first: UUID, second: UUID) -> Holding | None:
    """The decision of a pair that holds, as it was applied."""
    async with conn.cursor(row_factory=class_row(Holding)) as cursor:
        await cursor.execute(
            """SELECT verdict, decided_at FROM portfolio.v_identity_decisions
            WHERE user_id = %s AND account_id = %s AND other_account_id = %s
            ORDER BY decided_at DESC, decision_id DESC LIMIT 1""",
            (user_id, first, second),
        )
        return await cursor.fetchone()


async def shows(conn: Connection, user_id: str, decision_id: UUID) -> bool:
    """Whether a decision has been applied."""
    found = await conn.execute(
        "SELECT 1 FROM portfolio.v_identity_decisions WHERE user_id = %s AND decision_id = %s",
        (user_id, decision_id),
    )
    return await found.fetchone() is not None
