"""Consolidated positions: one statement that returns the answer as text.

The tag of a page is the portfolio's version and the newest snapshot's time: clocks move without the version. Where
the caller knows the tag, the rows are not even read. What a view shows beside the rows is computed for it alone.
"""

from collections.abc import Sequence
from functools import cache
from uuid import UUID

from gateway.reads.accounts import FIRST
from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.reads.sums import CONVERTED, CURRENCIES, IN_BASE, RATES
from gateway.reads.view import PLAIN, View
from gateway.refusals import not_found
from persistence.database import Database

ITEM = """'id', p.position_id, 'portfolio_id', p.portfolio_id, 'instrument', {instrument},
    'ticker', {ticker}, 'type', p.type, 'name', {name}, 'currency', p.currency,
    'quantity', trim_scale(p.quantity)::text, 'price', trim_scale(p.price)::text, 'price_as_of', p.price_as_of,
    'market_value', trim_scale(p.market_value)::text, 'value_complete', p.value_complete,
    'cost_basis', trim_scale(p.cost_basis)::text, 'cost_basis_complete', p.cost_basis_complete,
    'provider', p.provider, 'account_id', p.account_id, 'position_source', p.position_source,
    'position_status', p.position_status, 'stale', p.stale, 'as_of', p.as_of,
    'last_consolidation_at', p.last_consolidation_at,
    'capabilities', json_build_object('trading', p.trading, 'realtime', p.realtime)"""
STORED = {"instrument": "p.instrument", "ticker": "p.ticker", "name": "p.name"}
PROXIES = "proxies AS (SELECT key, value AS ticker FROM json_each_text(%(proxies)s::json))"
"""The cash proxies of a view as a relation; join it to ``p`` as ``x``."""
PROXY_NAME = "x.ticker || ' in place of ' || p.currency || ' cash'"
PROXIED = {
    "instrument": f"""CASE WHEN x.ticker IS NULL THEN p.instrument ELSE (p.instrument::jsonb
        || jsonb_build_object('key', x.ticker, 'symbol', x.ticker, 'name', {PROXY_NAME}))::json END""",
    "ticker": "coalesce(x.ticker, p.ticker)",
    "name": f"CASE WHEN x.ticker IS NULL THEN p.name ELSE {PROXY_NAME} END",
}
_PARTS = """, 'contributions', coalesce(p.contributions, '[]'), 'excluded', coalesce(p.excluded, '[]')"""
_PROXY_FOR = """, 'proxy_for', CASE WHEN x.ticker IS NULL THEN NULL ELSE p.instrument_key END"""
_IN_BASE = f""", 'base', json_build_object('currency', %(base)s::text, 'rate', r.rate::text,
    'market_value', trim_scale({CONVERTED.format(value="p.market_value")})::text)"""
STATE = """
SELECT coalesce(max(version), 0) AS version, max(changed_at) AS changed_at, max(synced_at) AS synced_at,
    coalesce(max(version), 0) || '-' || coalesce(extract(epoch FROM max(synced_at)) * 1000000, 0)::bigint
        || %(tag)s AS etag
FROM portfolio.v_portfolio_versions WHERE user_id = %(user)s AND portfolio_id = %(portfolio)s
"""
_LIST = """
SELECT v.etag, CASE WHEN v.etag = ANY (%(known)s::text[]) THEN NULL ELSE (
    WITH {relations}page AS (
        SELECT p.instrument_key, p.currency, row_number() OVER (ORDER BY p.instrument_key, p.currency) AS n,
            json_build_object({item}) AS item
        FROM portfolio.v_positions p{joins}
        WHERE p.user_id = %(user)s AND p.portfolio_id = %(portfolio)s
            AND (%(type)s::text IS NULL OR p.type = %(type)s)
            AND (p.instrument_key, p.currency) > (%(after_key)s, %(after_currency)s)
        ORDER BY p.instrument_key, p.currency LIMIT %(limit)s + 1)
    SELECT json_build_object('portfolio_id', %(portfolio)s::uuid, 'version', v.version, 'synced_at', v.synced_at,
        'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
        'next_cursor', (SELECT {cursor} FROM page
            WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s){base})::text) END
FROM ({state}) AS v
"""
_TOTALS = """totals AS (
    SELECT currency, coalesce(sum(market_value), 0) AS value, bool_and(value_complete) AS complete,
        count(*) AS positions
    FROM portfolio.v_positions WHERE user_id = %(user)s AND portfolio_id = %(portfolio)s
        AND (%(type)s::text IS NULL OR type = %(type)s) GROUP BY currency)"""
_ONE = """
SELECT json_build_object({item})::text FROM portfolio.v_positions p{join}
WHERE p.user_id = %(user)s AND p.position_id = %(position)s
"""


@cache
def list_sql(*, proxied: bool, based: bool) -> str:
    """The statement of a page, which computes nothing that is not shown."""
    item = ITEM.format(**(PROXIED if proxied else STORED)) + _PARTS
    relations, joins = "", ""
    if proxied:
        item += _PROXY_FOR
        relations += f"{PROXIES}, "
        joins += " LEFT JOIN proxies x ON x.key = p.instrument_key"
    if based:
        item += _IN_BASE
        relations += f"{RATES}, {_TOTALS}, "
        joins += " LEFT JOIN rates r ON r.currency = p.currency"
    return _LIST.format(
        item=item,
        relations=relations,
        joins=joins,
        cursor=CURSOR_SQL.format(keys="instrument_key, currency"),
        base=f", 'base', {IN_BASE.format(totals='totals')}" if based else "",
        state=STATE,
    )


@cache
def one_sql(*, proxied: bool) -> str:
    """The statement of one position."""
    item = ITEM.format(**(PROXIED if proxied else STORED)) + _PARTS
    if not proxied:
        return _ONE.format(item=item, join="")
    statement = _ONE.format(item=item + _PROXY_FOR, join=" LEFT JOIN proxies x ON x.key = p.instrument_key")
    return f"WITH {PROXIES}{statement}"


async def page(
    database: Database,
    user_id: str,
    portfolio: str,
    *,
    kind: str | None,
    cursor: str | None,
    limit: int,
    known: Sequence[str],
    view: View = PLAIN,
) -> Answer:
    """A page of a portfolio's positions; without a body where the caller knows the tag."""
    after = read_cursor(cursor, {"after_key": str, "after_currency": str}) or FIRST
    values = {"user": user_id, "portfolio": portfolio, "type": kind, "limit": limit, "known": list(known)}
    statement = list_sql(proxied=bool(view.proxies), based=view.base is not None)
    async with database.transaction(user_id) as conn:
        found = await conn.execute(statement, values | after | view.values() | {"tag": view.tag})
        row = await found.fetchone()
    return Answer(row[1], row[0]) if row else answer("")


async def one(database: Database, user_id: str, position_id: UUID, view: View = PLAIN) -> Answer:
    """One position.

    Raises:
        ApiError: 404, none of the user's.
    """
    values = {"user": user_id, "position": position_id} | view.values()
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(one_sql(proxied=bool(view.proxies)), values)).fetchone()
    if row is None:
        raise not_found("position")
    return answer(row[0])


async def currencies(database: Database, user_id: str, portfolio: str) -> list[str]:
    """The currencies that a portfolio's positions are in."""
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(CURRENCIES, (user_id, portfolio))).fetchone()
    return (row[0] if row else None) or []
