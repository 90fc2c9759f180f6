"""The log of a connection's sync runs, newest first."""

from datetime import datetime
from uuid import UUID

from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refusals import not_found
from persistence.database import Database

_ITEM = """json_build_object('run_id', l.run_id, 'kind', l.kind, 'trigger', l.trigger, 'status', l.status,
    'accounts', l.accounts, 'unchanged', l.unchanged, 'holdings', l.holdings, 'transactions', l.transactions,
    'orders', l.orders, 'new_items', l.new_items, 'updated_items', l.updated_items,
    'coverage', json_build_object('from', l.covers_from, 'through', l.covers_through),
    'provider_calls', l.provider_calls,
    'cost', json_build_object('amount', trim_scale(l.cost_amount)::text, 'currency', l.cost_currency),
    'started_at', l.started_at, 'finished_at', l.finished_at,
    'seconds', trim_scale(extract(epoch FROM l.finished_at - l.started_at))::text,
    'error_code', l.error_code, 'error', l.error)"""
_ORDER = "ORDER BY l.started_at DESC, l.run_id"
_LIST = f"""
WITH rows AS MATERIALIZED (
    SELECT l.* FROM portfolio.v_sync_log l
    WHERE l.user_id = %(user)s AND l.connection_id = %(connection)s
        AND (%(after_start)s::timestamptz IS NULL OR l.started_at < %(after_start)s
            OR (l.started_at = %(after_start)s AND l.run_id > %(after_id)s))
    {_ORDER} LIMIT %(limit)s + 1),
page AS (SELECT l.started_at, l.run_id, row_number() OVER ({_ORDER}) AS n, {_ITEM} AS item FROM rows l)
SELECT json_build_object('connection_id', c.connection_id,
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="started_at, run_id")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
FROM portfolio.v_connections c WHERE c.user_id = %(user)s AND c.connection_id = %(connection)s
"""  # noqa: S608 - constants of this module
FIRST = {"after_start": None, "after_id": None}


async def page(
    database: Database, user_id: str, connection_id: UUID, *, cursor: str | None, limit: int
) -> Answer:
    """A page of the connection's runs, one that still runs among them.

    Raises:
        ApiError: 404, none of the user's connections.
    """
    after = read_cursor(cursor, {"after_start": datetime.fromisoformat, "after_id": str}) or FIRST
    values = {"user": user_id, "connection": connection_id, "limit": limit} | after
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_LIST, values)).fetchone()
    if row is None:
        raise not_found("connection")
    return answer(row[0])
