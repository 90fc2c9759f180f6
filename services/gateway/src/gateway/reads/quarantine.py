"""Quarantined snapshots: what they would change, and what was said of them."""

from datetime import datetime
from uuid import UUID

from gateway.reads.identity import sight
from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refusals import not_found
from persistence.database import Connection

QUARANTINED = "quarantined"
MOST_CHANGES = 1000

_SNAPSHOT = """json_build_object('snapshot_id', {0}.snapshot_id, 'version', {0}.version,
    'content_hash', {0}.content_hash, 'as_of', {0}.as_of, 'synced_at', {0}.synced_at,
    'first_synced_at', {0}.first_synced_at, 'holdings', {0}.holdings,
    'value', CASE WHEN {0}.value IS NULL THEN NULL
        ELSE json_build_object('amount', trim_scale({0}.value)::text, 'currency', {0}.value_currency) END,
    'unpriced', {0}.unpriced)"""
_LINES = """SELECT e.line->>'instrument_key' AS key, e.line->>'currency' AS currency,
        sum((e.line->>'quantity')::numeric) AS quantity, sum((e.line->>'market_value')::numeric) AS value
    FROM snapshots s CROSS JOIN LATERAL json_array_elements(s.content) AS e(line)
    WHERE s.state = '{0}' GROUP BY 1, 2"""
_OF_ACCOUNT = f"""
WITH snapshots AS MATERIALIZED (
    SELECT * FROM portfolio.v_snapshots
    WHERE user_id = %(user)s AND account_id = %(account)s AND state IN ('current', 'quarantined')),
before AS ({_LINES.format("current")}),
after AS ({_LINES.format("quarantined")}),
changes AS MATERIALIZED (
    SELECT coalesce(b.key, a.key) AS key, coalesce(b.currency, a.currency) AS currency,
        b.quantity AS was, a.quantity AS would_be, b.value AS value_was, a.value AS value_would_be
    FROM before b FULL JOIN after a ON a.key = b.key AND a.currency = b.currency
    WHERE EXISTS (SELECT 1 FROM snapshots WHERE state = 'quarantined')
        AND (b.quantity IS DISTINCT FROM a.quantity OR b.value IS DISTINCT FROM a.value)),
first_changes AS (
    SELECT * FROM changes ORDER BY value_was DESC NULLS LAST, key, currency LIMIT {MOST_CHANGES})
SELECT json_build_object('account_id', c.account_id,
    'current', (SELECT {_SNAPSHOT.format("s")} FROM snapshots s WHERE s.state = 'current'),
    'quarantined', (SELECT {_SNAPSHOT.format("s")} FROM snapshots s WHERE s.state = 'quarantined'),
    'vanishing', (SELECT count(*) FROM changes WHERE would_be IS NULL),
    'changes', (SELECT coalesce(json_agg(json_build_object('instrument_key', key, 'currency', currency,
        'quantity', trim_scale(was)::text, 'new_quantity', trim_scale(would_be)::text,
        'market_value', trim_scale(value_was)::text, 'new_market_value', trim_scale(value_would_be)::text)
        ORDER BY value_was DESC NULLS LAST, key, currency), '[]') FROM first_changes),
    'changes_total', (SELECT count(*) FROM changes),
    'judgements', (SELECT coalesce(json_agg(json_build_object('judgement_id', j.judgement_id,
        'version', j.version, 'verdict', j.verdict, 'judged_by', j.judged_by, 'judged_at', j.judged_at)
        ORDER BY j.judged_at DESC, j.judgement_id DESC), '[]') FROM portfolio.v_snapshot_judgements j
        WHERE j.user_id = c.user_id AND j.account_id = c.account_id))::text
FROM portfolio.v_accounts c WHERE c.user_id = %(user)s AND c.account_id = %(account)s
"""  # noqa: S608 - constants of this module
_WAITING = f"""
WITH snapshots AS MATERIALIZED (
    SELECT account_id, snapshot_id, version, content_hash, as_of, synced_at, first_synced_at, holdings, value,
        value_currency, unpriced, state
    FROM portfolio.v_snapshots WHERE user_id = %(user)s AND state IN ('current', 'quarantined')),
page AS (
    SELECT a.account_id, row_number() OVER (ORDER BY a.account_id) AS n,
        json_build_object('account', {sight("a")}, 'quarantined', {_SNAPSHOT.format("q")},
            'current', CASE WHEN s.version IS NULL THEN NULL ELSE {_SNAPSHOT.format("s")} END) AS item
    FROM snapshots q JOIN portfolio.v_accounts a ON a.user_id = %(user)s AND a.account_id = q.account_id
    LEFT JOIN snapshots s ON s.account_id = q.account_id AND s.state = 'current'
    WHERE q.state = 'quarantined' AND (%(after_id)s::uuid IS NULL OR a.account_id > %(after_id)s::uuid)
    ORDER BY a.account_id LIMIT %(limit)s + 1)
SELECT json_build_object(
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="account_id")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
"""  # noqa: S608 - constants of this module


async def of_account(conn: Connection, user_id: str, account_id: UUID) -> Answer:
    """An account's quarantined snapshot beside the current one, and what would change.

    Raises:
        ApiError: 404, none of the user's.
    """
    row = await (await conn.execute(_OF_ACCOUNT, {"user": user_id, "account": account_id})).fetchone()
    if row is None:
        raise not_found("account")
    return answer(row[0])


async def waiting(conn: Connection, user_id: str, *, cursor: str | None, limit: int) -> Answer:
    """A page of the user's accounts that have a quarantined snapshot."""
    after = read_cursor(cursor, {"after_id": UUID}) or {"after_id": None}
    row = await (await conn.execute(_WAITING, {"user": user_id, "limit": limit} | after)).fetchone()
    return answer(row[0] if row else "")


async def is_present(conn: Connection, user_id: str, account_id: UUID) -> bool:
    """Whether the account is the user's, and present."""
    found = await conn.execute(
        "SELECT 1 FROM portfolio.v_accounts WHERE user_id = %s AND account_id = %s", (user_id, account_id)
    )
    return await found.fetchone() is not None


async def state(conn: Connection, user_id: str, account_id: UUID, version: int) -> str | None:
    """How a snapshot stands: current, quarantined, superseded or rejected; None where it is not kept."""
    found = await conn.execute(
        """SELECT state FROM portfolio.v_snapshots
        WHERE user_id = %s AND account_id = %s AND version = %s""",
        (user_id, account_id, version),
    )
    row = await found.fetchone()
    return None if row is None else str(row[0])


async def last_judged(conn: Connection, user_id: str, account_id: UUID, version: int) -> datetime | None:
    """When a snapshot was judged last."""
    found = await conn.execute(
        """SELECT max(judged_at) FROM portfolio.v_snapshot_judgements
        WHERE user_id = %s AND account_id = %s AND version = %s""",
        (user_id, account_id, version),
    )
    row = await found.fetchone()
    at: datetime | None = row[0] if row else None
    return at


async def shows(conn: Connection, user_id: str, judgement_id: UUID) -> bool:
    """Whether a judgement has been applied."""
    found = await conn.execute(
        "SELECT 1 FROM portfolio.v_snapshot_judgements WHERE user_id = %s AND judgement_id = %s",
        (user_id, judgement_id),
    )
    return await found.fetchone() is not None
