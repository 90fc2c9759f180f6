"""Consolidated positions: one statement that returns the answer as text.

The tag of a page is the portfolio's version and the newest snapshot's time: clocks move without the version. Where
the caller knows the tag, the rows are not even read.
"""

from collections.abc import Sequence
from uuid import UUID

from gateway.reads.accounts import FIRST
from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refusals import not_found
from persistence.database import Database

_ITEM = """json_build_object('id', p.position_id, 'portfolio_id', p.portfolio_id, 'instrument', p.instrument,
    'ticker', p.ticker, 'type', p.type, 'name', p.name, 'currency', p.currency,
    'quantity', trim_scale(p.quantity)::text, 'price', trim_scale(p.price)::text, 'price_as_of', p.price_as_of,
    'market_value', trim_scale(p.market_value)::text, 'value_complete', p.value_complete,
    'cost_basis', trim_scale(p.cost_basis)::text, 'cost_basis_complete', p.cost_basis_complete,
    'provider', p.provider, 'account_id', p.account_id, 'position_source', p.position_source,
    'position_status', p.position_status, 'stale', p.stale, 'as_of', p.as_of,
    'last_consolidation_at', p.last_consolidation_at,
    'capabilities', json_build_object('trading', p.trading, 'realtime', p.realtime),
    'contributions', coalesce(p.contributions, '[]'), 'excluded', coalesce(p.excluded, '[]'))"""
_STATE = """
SELECT coalesce(max(version), 0) AS version, max(changed_at) AS changed_at, max(synced_at) AS synced_at,
    coalesce(max(version), 0) || '-' || coalesce(extract(epoch FROM max(synced_at)) * 1000000, 0)::bigint AS etag
FROM portfolio.v_portfolio_versions WHERE user_id = %(user)s AND portfolio_id = %(portfolio)s
"""
_LIST = f"""
SELECT v.etag, CASE WHEN v.etag = ANY (%(known)s::text[]) THEN NULL ELSE (
    WITH page AS (
        SELECT p.instrument_key, p.currency, row_number() OVER (ORDER BY p.instrument_key, p.currency) AS n,
            {_ITEM} AS item
        FROM portfolio.v_positions p
        WHERE p.user_id = %(user)s AND p.portfolio_id = %(portfolio)s
            AND (%(type)s::text IS NULL OR p.type = %(type)s)
            AND (p.instrument_key, p.currency) > (%(after_key)s, %(after_currency)s)
        ORDER BY p.instrument_key, p.currency LIMIT %(limit)s + 1)
    SELECT json_build_object('portfolio_id', %(portfolio)s::uuid, 'version', v.version, 'synced_at', v.synced_at,
        'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
        'next_cursor', (SELECT {CURSOR_SQL.format(keys="instrument_key, currency")} FROM page
            WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text) END
FROM ({_STATE}) AS v
"""  # noqa: S608 - constants of this module
_ONE = f"""
SELECT {_ITEM}::text FROM portfolio.v_positions p WHERE p.user_id = %s AND p.position_id = %s
"""  # noqa: S608 - a constant of this module


async def page(
    database: Database,
    user_id: str,
    portfolio: str,
    *,
    kind: str | None,
    cursor: str | None,
    limit: int,
    known: Sequence[str],
) -> Answer:
    """A page of a portfolio's positions; without a body where the caller knows the tag."""
    after = read_cursor(cursor, {"after_key": str, "after_currency": str}) or FIRST
    values = {"user": user_id, "portfolio": portfolio, "type": kind, "limit": limit, "known": list(known)}
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_LIST, values | after)).fetchone()
    return Answer(row[1], row[0]) if row else answer("")


async def one(database: Database, user_id: str, position_id: UUID) -> Answer:
    """One position.

    Raises:
        ApiError: 404, none of the user's.
    """
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_ONE, (user_id, position_id))).fetchone()
    if row is None:
        raise not_found("position")
    return answer(row[0])
