"""Accounts apart: each provider account with its balances and its own holdings."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refusals import not_found
from persistence.database import Database

_ITEM = """json_build_object('id', a.account_id, 'connection_id', a.connection_id, 'provider', a.provider,
    'institution', a.institution, 'real_account_id', a.real_account_id, 'name', a.name,
    'official_name', a.official_name, 'type', a.type, 'raw_type', a.raw_type, 'currency', a.currency,
    'mask', a.mask, 'status', a.status, 'is_paper', coalesce(a.is_paper, false),
    'total', CASE WHEN a.total_amount IS NULL THEN NULL
        ELSE json_build_object('amount', trim_scale(a.total_amount)::text, 'currency', a.total_currency) END,
    'capabilities', json_build_object('trading', a.trading, 'realtime', a.realtime),
    'holds_securities', coalesce(a.holds_securities, true), 'holdings', coalesce(a.holdings, 0),
    'as_of', a.as_of, 'synced_at', a.synced_at, 'suspect', a.suspect, 'suspect_reason', a.suspect_reason,
    'counted', a.counted, 'counted_account_id', a.counted_account_id, 'counted_reason', a.counted_reason,
    'excluded_rule', a.excluded_rule, 'waiting', a.waiting, 'stale', a.stale,
    'needs_decision', a.needs_decision, 'connection_status', a.connection_status,
    'snapshot', CASE WHEN a.snapshot_id IS NULL THEN NULL ELSE json_build_object('id', a.snapshot_id,
        'content_hash', a.content_hash, 'version', a.version) END,
    'check', CASE WHEN k.outcome IS NULL THEN NULL ELSE json_build_object('account_id', k.account_id,
        'outcome', k.outcome, 'reason', k.reason, 'counted', trim_scale(k.counted)::text, 'expected', trim_scale(k.expected)::text,
        'difference', trim_scale(k.difference)::text, 'currency', k.currency, 'checked_at', k.checked_at) END)"""
_FROM = """portfolio.v_accounts a LEFT JOIN portfolio.v_account_checks k
    ON k.user_id = a.user_id AND k.real_account_id = a.real_account_id"""
_LIST = f"""
WITH page AS (
    SELECT a.institution, a.account_id, {_ITEM} AS item,
        row_number() OVER (ORDER BY a.institution, a.account_id) AS n
    FROM {_FROM}
    WHERE a.user_id = %(user)s AND (%(after_institution)s::text IS NULL
        OR (a.institution, a.account_id) > (%(after_institution)s, %(after_id)s::uuid))
    ORDER BY a.institution, a.account_id LIMIT %(limit)s + 1)
SELECT json_build_object(
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="institution, account_id")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
"""  # noqa: S608 - constants of this module
_ONE = f"SELECT {_ITEM}::text FROM {_FROM} WHERE a.user_id = %s AND a.account_id = %s"  # noqa: S608 - constants
_BALANCES = """
SELECT json_build_object('account_id', a.account_id, 'next_cursor', NULL, 'items', (
    SELECT coalesce(json_agg(json_build_object('currency', b.currency, 'cash', trim_scale(b.cash)::text,
        'available', trim_scale(b.available)::text, 'buying_power', trim_scale(b.buying_power)::text,
        'equity', trim_scale(b.equity)::text, 'maintenance_excess', trim_scale(b.maintenance_excess)::text,
        'margin_loan', trim_scale(b.margin_loan)::text, 'as_of', b.as_of, 'synced_at', b.synced_at)
        ORDER BY b.currency), '[]')
    FROM portfolio.v_balances b WHERE b.user_id = a.user_id AND b.account_id = a.account_id))::text
FROM portfolio.v_accounts a WHERE a.user_id = %s AND a.account_id = %s
"""
_HOLDINGS = f"""
WITH page AS (
    SELECT h.instrument_key, h.currency, row_number() OVER (ORDER BY h.instrument_key, h.currency) AS n,
        json_build_object('instrument', h.instrument, 'ticker', h.ticker, 'type', h.type, 'name', h.name,
            'currency', h.currency, 'quantity', trim_scale(h.quantity)::text,
            'price', trim_scale(h.price)::text, 'price_as_of', h.price_as_of,
            'market_value', trim_scale(h.market_value)::text, 'cost_basis', trim_scale(h.cost_basis)::text,
            'cash_equivalent', h.cash_equivalent, 'provider', h.provider, 'account_id', h.account_id,
            'as_of', h.as_of, 'synced_at', h.synced_at) AS item
    FROM portfolio.v_holdings h
    WHERE h.user_id = %(user)s AND h.account_id = %(account)s
        AND (%(type)s::text IS NULL OR h.type = %(type)s)
        AND (h.instrument_key, h.currency) > (%(after_key)s, %(after_currency)s)
    ORDER BY h.instrument_key, h.currency LIMIT %(limit)s + 1)
SELECT json_build_object('account_id', a.account_id,
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="instrument_key, currency")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
FROM portfolio.v_accounts a WHERE a.user_id = %(user)s AND a.account_id = %(account)s
"""  # noqa: S608 - constants of this module
FIRST = {"after_key": "", "after_currency": ""}
"""Before every row: keys and currencies are never empty."""


async def page(database: Database, user_id: str, *, cursor: str | None, limit: int) -> Answer:
    """A page of the user's provider accounts."""
    after = read_cursor(cursor, {"after_institution": str, "after_id": UUID})
    values = {"user": user_id, "limit": limit} | (after or {"after_institution": None, "after_id": None})
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_LIST, values)).fetchone()
    return answer(row[0] if row else "")


async def one(database: Database, user_id: str, account_id: UUID) -> Answer:
    """One account.

    Raises:
        ApiError: 404, none of the user's.
    """
    return await _found(database, user_id, _ONE, (user_id, account_id))


async def balances(database: Database, user_id: str, account_id: UUID) -> Answer:
    """The balances of one account per currency.

    Raises:
        ApiError: 404, none of the user's.
    """
    return await _found(database, user_id, _BALANCES, (user_id, account_id))


async def holdings(
    database: Database, user_id: str, account_id: UUID, *, kind: str | None, cursor: str | None, limit: int
) -> Answer:
    """A page of what one account holds, as its provider says.

    Raises:
        ApiError: 404, none of the user's.
    """
    after = read_cursor(cursor, {"after_key": str, "after_currency": str}) or FIRST
    values = {"user": user_id, "account": account_id, "type": kind, "limit": limit} | after
    return await _found(database, user_id, _HOLDINGS, values)


async def _found(
    database: Database, user_id: str, query: str, values: Sequence[Any] | Mapping[str, Any]
) -> Answer:
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(query, values)).fetchone()
    if row is None:
        raise not_found("account")
    return answer(row[0])
