"""Positions grouped by account, provider, type or currency: whole groups, some to a page.

Types and currencies divide positions; accounts and providers divide what they are made of, so that the groups' parts
of a position add up to it exactly. Every real account appears once, under the name of its counted provider account.
"""

from enum import StrEnum
from functools import cache

from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.reads.positions import PROXIED, PROXIES, STATE
from gateway.reads.sums import IN_BASE, PARTS, RATES
from gateway.reads.view import View
from persistence.database import Database


class GroupBy(StrEnum):
    """What positions can be grouped by."""

    ACCOUNT = "account"
    PROVIDER = "provider"
    TYPE = "type"
    CURRENCY = "currency"


_WHOLE = """SELECT {key} AS key, p.position_id, p.instrument_key, p.currency, p.ticker, p.type, p.name, p.stale,
        p.quantity, p.market_value, p.value_complete, p.cost_basis, p.cost_basis_complete,
        cardinality(p.account_ids) AS contributions
    FROM portfolio.v_positions p WHERE p.user_id = %(user)s AND p.portfolio_id = %(portfolio)s
        AND (%(type)s::text IS NULL OR p.type = %(type)s)"""
_DIVIDED = f"""SELECT c.key, p.position_id, p.instrument_key, p.currency, p.ticker, p.type, p.name, p.stale,
        c.quantity, c.market_value, c.value_complete, c.cost_basis, c.cost_basis_complete, c.contributions
    FROM portfolio.v_positions p CROSS JOIN LATERAL (
        SELECT e.{{key}} AS key, sum(e.quantity) AS quantity, sum(e.market_value) AS market_value,
            bool_and(e.market_value IS NOT NULL) AS value_complete, sum(e.cost_basis) AS cost_basis,
            bool_and(e.cost_basis IS NOT NULL) AS cost_basis_complete, count(*) AS contributions
        FROM json_to_recordset({PARTS}) AS e(real_account_id text, provider text, quantity numeric,
            market_value numeric, cost_basis numeric) GROUP BY 1) c
    WHERE p.user_id = %(user)s AND p.portfolio_id = %(portfolio)s
        AND (%(type)s::text IS NULL OR p.type = %(type)s)"""  # noqa: S608 - constants of this module
_ROWS = {
    GroupBy.ACCOUNT: _DIVIDED.format(key="real_account_id"),
    GroupBy.PROVIDER: _DIVIDED.format(key="provider"),
    GroupBy.TYPE: _WHOLE.format(key="p.type"),
    GroupBy.CURRENCY: _WHOLE.format(key="p.currency"),
}
_ACCOUNTS = """accounts AS (
    SELECT DISTINCT ON (a.real_account_id) a.real_account_id::text AS key, a.institution, a.name,
        json_build_object('real_account_id', a.real_account_id, 'account_id', a.account_id,
            'connection_id', a.connection_id, 'provider', a.provider, 'institution', a.institution, 'name', a.name,
            'mask', a.mask, 'type', a.type, 'connection_status', a.connection_status, 'as_of', a.as_of,
            'synced_at', a.synced_at, 'stale', a.stale, 'suspect', a.suspect,
            'needs_decision', a.needs_decision) AS account
    FROM portfolio.v_accounts a WHERE a.user_id = %(user)s AND a.counted
    ORDER BY a.real_account_id, a.account_id), """
_PART = """json_build_object('position_id', p.position_id, 'instrument_key', {instrument_key}, 'ticker', {ticker},
    'type', p.type, 'name', {name}, 'currency', p.currency, 'quantity', trim_scale(p.quantity)::text,
    'market_value', trim_scale(p.market_value)::text, 'value_complete', p.value_complete,
    'cost_basis', trim_scale(p.cost_basis)::text, 'cost_basis_complete', p.cost_basis_complete,
    'contributions', p.contributions, 'stale', p.stale{more})"""
_PROXY_FOR = ", 'proxy_for', CASE WHEN x.ticker IS NULL THEN NULL ELSE p.instrument_key END"
_STATEMENT = """
WITH {relations}rows AS MATERIALIZED ({rows}),
sums AS (
    SELECT key, currency, coalesce(sum(market_value), 0) AS value, bool_and(value_complete) AS complete,
        sum(cost_basis) AS cost_basis, bool_and(cost_basis_complete) AS cost_basis_complete,
        count(*) AS positions, bool_or(stale) AS stale
    FROM rows GROUP BY key, currency),
heads AS (
    SELECT s.key, {sort} AS sort, sum(s.positions) AS positions, bool_or(s.stale) AS stale,
        json_agg(json_build_object('currency', s.currency, 'market_value', trim_scale(s.value)::text,
            'complete', s.complete, 'positions', s.positions, 'cost_basis', trim_scale(s.cost_basis)::text,
            'cost_basis_complete', s.cost_basis_complete) ORDER BY s.currency) AS totals
    FROM sums s{sort_join} GROUP BY 1, 2),
page AS MATERIALIZED (
    SELECT h.*, row_number() OVER (ORDER BY h.sort COLLATE "C", h.key COLLATE "C") AS n FROM heads h
    WHERE %(after_sort)s::text IS NULL
        OR (h.sort COLLATE "C", h.key COLLATE "C") > (%(after_sort)s::text, %(after_key)s::text)
    ORDER BY h.sort COLLATE "C", h.key COLLATE "C" LIMIT %(limit)s + 1),
parts AS (
    SELECT p.key, json_agg({part} ORDER BY p.instrument_key, p.currency) AS parts
    FROM rows p{part_join} WHERE p.key IN (SELECT key FROM page WHERE n <= %(limit)s) GROUP BY p.key)
SELECT v.version, json_build_object('portfolio_id', %(portfolio)s::uuid, 'version', v.version,
    'synced_at', v.synced_at, 'group_by', %(group_by)s::text,
    'groups', (SELECT coalesce(json_agg(json_build_object('key', g.key{head}, 'positions', g.positions,
        'stale', g.stale, 'totals', g.totals{group_base}, 'parts', q.parts) ORDER BY g.n), '[]')
        FROM page g JOIN parts q ON q.key = g.key{head_join} WHERE g.n <= %(limit)s),
    'next_cursor', (SELECT {cursor} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s){base})::text
FROM ({state}) AS v
"""
_OF_ALL = """(SELECT currency, sum(value) AS value, bool_and(complete) AS complete, sum(positions) AS positions
    FROM sums GROUP BY currency)"""
_OF_GROUP = "(SELECT * FROM sums o WHERE o.key = g.key)"


@cache
def statement(by: GroupBy, *, proxied: bool, based: bool) -> str:
    """The statement of a page of groups, which computes nothing that is not shown."""
    accounts = by is GroupBy.ACCOUNT
    shown = PROXIED | {"instrument_key": "coalesce(x.ticker, p.instrument_key)"} if proxied else _STORED
    return _STATEMENT.format(
        relations=(_ACCOUNTS if accounts else "")
        + (f"{PROXIES}, " if proxied else "")
        + (f"{RATES}, " if based else ""),
        rows=_ROWS[by],
        sort="coalesce(a.institution, '')" if accounts else "''",
        sort_join=" LEFT JOIN accounts a ON a.key = s.key" if accounts else "",
        part=_PART.format(**shown, more=_PROXY_FOR if proxied else ""),
        part_join=" LEFT JOIN proxies x ON x.key = p.instrument_key" if proxied else "",
        head=", 'name', coalesce(a.name, g.key), 'account', a.account" if accounts else ", 'name', g.key",
        head_join=" LEFT JOIN accounts a ON a.key = g.key" if accounts else "",
        group_base=f", 'base', {IN_BASE.format(totals=_OF_GROUP)}" if based else "",
        cursor=CURSOR_SQL.format(keys="sort, key"),
        base=f", 'base', {IN_BASE.format(totals=_OF_ALL)}" if based else "",
        state=STATE,
    )


_STORED = {"instrument_key": "p.instrument_key", "ticker": "p.ticker", "name": "p.name"}


async def groups(
    database: Database,
    user_id: str,
    portfolio: str,
    *,
    by: GroupBy,
    kind: str | None,
    cursor: str | None,
    limit: int,
    view: View,
) -> Answer:
    """A page of groups, by institution and real account, else by the word they are grouped by.

    The tag begins with the portfolio's version and is of the content: names of accounts change without the version.
    """
    after = read_cursor(cursor, {"after_sort": str, "after_key": str})
    values = {"user": user_id, "portfolio": portfolio, "type": kind, "limit": limit, "group_by": by.value}
    values |= after or {"after_sort": None, "after_key": None}
    query = statement(by, proxied=bool(view.proxies), based=view.base is not None)
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(query, values | view.values() | {"tag": view.tag})).fetchone()
    version, text = row or (0, "")
    found = answer(text)
    return Answer(found.body, f"{version}-{found.etag}{view.tag}")
