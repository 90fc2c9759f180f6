"""Recent orders as brokers report them, newest first: of one account, or of all that are not duplicates."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.reads.transactions import INSTRUMENT
from gateway.refusals import not_found
from persistence.database import Database

_PLACED = "coalesce(t.placed_at, t.first_seen_at)"
_ITEM = f"""json_build_object('account_id', t.account_id, 'connection_id', t.connection_id, 'provider', t.provider,
    'institution', t.institution, 'broker_order_id', t.broker_order_id, 'status', t.status,
    'raw_status', t.raw_status, 'side', t.side, 'instrument', {INSTRUMENT}, 'order_type', t.order_type,
    'time_in_force', t.time_in_force, 'quantity', trim_scale(t.quantity)::text,
    'filled_quantity', trim_scale(t.filled_quantity)::text, 'limit_price', trim_scale(t.limit_price)::text,
    'stop_price', trim_scale(t.stop_price)::text, 'average_price', trim_scale(t.average_price)::text,
    'currency', t.currency, 'placed_at', t.placed_at, 'updated_at', t.updated_at, 'executed_at', t.executed_at,
    'first_seen_at', t.first_seen_at)"""
_ORDER = "ORDER BY moment DESC, t.account_id, t.broker_order_id"
# Of several sights of one real account the counted one tells its orders, of one linked again the present one.
_LIST = f"""
WITH hidden AS MATERIALIZED (
    SELECT d.account_id FROM portfolio.v_duplicate_accounts d
    WHERE d.user_id = %(user)s AND NOT %(duplicates)s),
rows AS MATERIALIZED (
    SELECT t.*, {_PLACED} AS moment FROM portfolio.v_orders t
    WHERE t.user_id = %(user)s AND (%(account)s::uuid IS NULL OR t.account_id = %(account)s)
        AND (%(statuses)s::text[] IS NULL OR t.status = ANY(%(statuses)s))
        AND (%(symbol)s::text IS NULL OR upper(t.symbol) = upper(%(symbol)s)
            OR upper(t.instrument_key) = upper(%(symbol)s))
        AND t.account_id NOT IN (SELECT account_id FROM hidden)
        AND (%(after_moment)s::timestamptz IS NULL OR {_PLACED} < %(after_moment)s
            OR ({_PLACED} = %(after_moment)s
                AND (t.account_id, t.broker_order_id) > (%(after_account)s::uuid, %(after_id)s)))
    {_ORDER} LIMIT %(limit)s + 1),
page AS (
    SELECT t.moment, t.account_id, t.broker_order_id, row_number() OVER ({_ORDER}) AS n, {_ITEM} AS item
    FROM rows t)
SELECT json_build_object(
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="moment, account_id, broker_order_id")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
"""  # noqa: S608 - constants of this module
_ACCOUNT = "SELECT 1 FROM portfolio.v_accounts WHERE user_id = %s AND account_id = %s"
FIRST = {"after_moment": None, "after_account": None, "after_id": None}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which orders are meant; what is None does not matter."""

    account: UUID | None = None
    statuses: tuple[str, ...] | None = None
    symbol: str | None = None
    duplicates: bool = False


async def page(database: Database, user_id: str, wanted: Wanted, *, cursor: str | None, limit: int) -> Answer:
    """A page of the user's orders. An account that is named tells its own, duplicate or not.

    Raises:
        ApiError: 404, the account is none of the user's.
    """
    kinds: dict[str, Callable[[str], Any]] = {
        "after_moment": datetime.fromisoformat,
        "after_account": UUID,
        "after_id": str,
    }
    values = {
        "user": user_id,
        "limit": limit,
        "account": wanted.account,
        "statuses": list(wanted.statuses) if wanted.statuses else None,
        "symbol": wanted.symbol,
        "duplicates": wanted.duplicates or wanted.account is not None,
    }
    values |= read_cursor(cursor, kinds) or FIRST
    async with database.transaction(user_id) as conn:
        if wanted.account is not None:
            known = await (await conn.execute(_ACCOUNT, (user_id, wanted.account))).fetchone()
            if known is None:
                raise not_found("account")
        row = await (await conn.execute(_LIST, values)).fetchone()
    return answer(row[0] if row else "")
