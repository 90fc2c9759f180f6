"""What accounts did, newest first: pages by a key that later rows do not move, and sums over the whole filter.

Of a real account that is seen through several connections the counted source's transactions are listed, as its
holdings are: the others are the same ones again, and so are those of an account that was removed and linked again.
Who names an account or a connection sees that one's own.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from contracts.ids import portfolio_id
from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refusals import not_found
from persistence.database import Connection, Database

TRANSACTION = "transaction"
INSTRUMENT = """CASE WHEN t.instrument IS NULL THEN NULL ELSE json_build_object(
        'key', t.instrument_key, 'kind', t.instrument->>'kind', 'symbol', t.instrument->>'symbol',
        'name', t.instrument->>'name', 'currency', t.instrument->>'currency', 'mic', t.instrument->>'mic',
        'figi', t.instrument->>'figi', 'figi_share_class', t.instrument->>'figi_share_class',
        'isin', t.instrument->>'isin', 'cusip', t.instrument->>'cusip',
        'provider_security_id', t.instrument->>'provider_security_id',
        'multiplier', trim_scale((t.instrument->>'multiplier')::numeric)::text,
        'option', CASE WHEN json_typeof(t.instrument->'option') = 'object' THEN t.instrument->'option' END,
        'maturity', t.instrument->>'maturity') END"""
"""The instrument that a row ``t`` keeps as JSON."""
ITEM = f"""json_build_object('id', t.transaction_id, 'account_id', t.account_id, 'connection_id', t.connection_id,
    'provider', t.provider, 'institution', t.institution, 'real_account_id', t.real_account_id,
    'counted', t.counted, 'type', t.type, 'raw_type', t.raw_type, 'description', t.description,
    'instrument', {INSTRUMENT}, 'currency', t.currency, 'amount', trim_scale(t.amount)::text,
    'quantity', trim_scale(t.quantity)::text, 'price', trim_scale(t.price)::text, 'fee', trim_scale(t.fee)::text,
    'booked_on', t.booked_on, 'traded_at', t.traded_at, 'settlement_date', t.settlement_date,
    'pending', t.pending, 'option_action', t.option_action, 'fx_rate', trim_scale(t.fx_rate)::text,
    'broker_reference', t.broker_reference, 'first_seen_at', t.first_seen_at,
    'journal', json_build_object('synced_to_journal', t.synced_to_journal,
        'journal_trade_id', t.journal_trade_id, 'sync_notes', t.sync_notes, 'updated_at', t.marked_at))"""
"""A row of ``ROWS`` as JSON."""
ROWS = """SELECT t.*, coalesce(m.synced_to_journal, false) AS synced_to_journal, m.journal_trade_id, m.sync_notes,
        m.updated_at AS marked_at
    FROM portfolio.v_transactions t
    LEFT JOIN gateway.journal_marks m ON m.user_id = t.user_id AND m.transaction_id = t.transaction_id
    WHERE t.user_id = %(user)s"""
DUPLICATES = (
    "t.account_id IN (SELECT d.account_id FROM portfolio.v_duplicate_accounts d WHERE d.user_id = %(user)s)"
)
CLAUSES = {
    "account": "t.account_id = %(account)s",
    "connection": "t.connection_id = %(connection)s",
    "portfolio": """t.real_account_id IN (SELECT a.real_account_id FROM portfolio.v_accounts a
        WHERE a.user_id = %(user)s AND a.account_id::text IN (
            SELECT json_array_elements_text(n.account_ids) FROM portfolio.v_portfolios n
            WHERE n.user_id = %(user)s AND n.portfolio_id = %(portfolio)s AND NOT n.deleted))""",
    "symbol": "(upper(t.symbol) = upper(%(symbol)s) OR upper(t.instrument_key) = upper(%(symbol)s))",
    "types": "t.type = ANY(%(types)s)",
    "start": "t.booked_on >= %(start)s",
    "end": "t.booked_on <= %(end)s",
    "pending": "t.pending = %(pending)s",
    "synced": "coalesce(m.synced_to_journal, false) = %(synced)s",
}
# Days without a date come first, as they do in the index.
AFTER_DAY = (
    "t.booked_on <= %(after_day)s AND (t.booked_on < %(after_day)s OR t.transaction_id > %(after_id)s)"
)
AFTER_NO_DAY = "(t.booked_on IS NOT NULL OR t.transaction_id > %(after_id)s)"
ORDER = "ORDER BY t.booked_on DESC, t.transaction_id"
_PAGE = """
WITH rows AS MATERIALIZED ({rows} {order} LIMIT %(limit)s + 1),
page AS (SELECT t.booked_on, t.transaction_id, row_number() OVER ({order}) AS n, {item} AS item FROM rows t)
SELECT json_build_object({head}'totals', {totals},
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {cursor} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
"""
_TOTALS = """(SELECT json_build_object('count', coalesce(sum(s.n), 0), 'pending', coalesce(sum(s.pending), 0),
    'currencies', coalesce(json_agg(json_build_object('currency', s.currency, 'count', s.n,
        'amount', s.amount, 'fees', s.fees, 'complete', s.complete) ORDER BY s.currency), '[]'))
    FROM (SELECT t.currency, count(*) AS n, count(*) FILTER (WHERE t.pending) AS pending,
        coalesce(trim_scale(sum(t.amount))::text, '0') AS amount,
        coalesce(trim_scale(sum(t.fee))::text, '0') AS fees, bool_and(t.amount IS NOT NULL) AS complete
        FROM ({rows}) t GROUP BY t.currency) s)"""
_COVERED = """'account_id', %(account)s::uuid, 'coverage', (SELECT json_build_object('from', c.covers_from,
    'through', c.covers_through) FROM (SELECT 1) one LEFT JOIN portfolio.v_transaction_coverage c
    ON c.user_id = %(user)s AND c.account_id = %(account)s), """
_ACCOUNT = "SELECT 1 FROM portfolio.v_accounts WHERE user_id = %s AND account_id = %s"
_ONE = f"SELECT {ITEM}::text FROM ({ROWS} AND t.transaction_id = %(id)s) t"  # noqa: S608 - constants of this module
_CURSOR = CURSOR_SQL.format(keys="coalesce(booked_on::text, ''), transaction_id")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which transactions are meant; what is None does not matter. ``portfolio`` is an id."""

    account: UUID | None = None
    connection: UUID | None = None
    portfolio: str | None = None
    symbol: str | None = None
    types: tuple[str, ...] | None = None
    start: date | None = None
    end: date | None = None
    pending: bool | None = None
    synced: bool | None = None
    duplicates: bool = False

    def values(self, user_id: str) -> dict[str, Any]:
        """The parameters of its statement."""
        wanted = {name: getattr(self, name) for name in CLAUSES}
        wanted["portfolio"] = None if self.portfolio == portfolio_id(user_id) else self.portfolio
        wanted["types"] = list(self.types) if self.types else None
        return {"user": user_id} | {name: value for name, value in wanted.items() if value is not None}

    def rows(self, values: dict[str, Any]) -> str:
        """The statement of its rows, without order; made of constants, values are parameters."""
        clauses = [sql for name, sql in CLAUSES.items() if name in values]
        if not (self.duplicates or self.account or self.connection):
            clauses.append(f"NOT ({DUPLICATES})")
        return " AND ".join([ROWS, *clauses])


async def page(database: Database, user_id: str, wanted: Filter, *, cursor: str | None, limit: int) -> Answer:
    """A page of the user's transactions; the first one with the sums over all of them."""
    async with database.transaction(user_id) as conn:
        return await _page(conn, user_id, wanted, head="", cursor=cursor, limit=limit)


async def of_account(
    database: Database, user_id: str, wanted: Filter, *, cursor: str | None, limit: int
) -> Answer:
    """The same of the one account that ``wanted`` names, with the days that are known whole.

    Raises:
        ApiError: 404, none of the user's.
    """
    async with database.transaction(user_id) as conn:
        if await (await conn.execute(_ACCOUNT, (user_id, wanted.account))).fetchone() is None:
            raise not_found("account")
        return await _page(conn, user_id, wanted, head=_COVERED, cursor=cursor, limit=limit)


async def one(conn: Connection, user_id: str, transaction_id: UUID) -> str:
    """One transaction as JSON text.

    Raises:
        ApiError: 404, none of the user's, or taken back by its provider.
    """
    row = await (await conn.execute(_ONE, {"user": user_id, "id": transaction_id})).fetchone()
    if row is None:
        raise not_found(TRANSACTION)
    return str(row[0])


async def runs(
    database: Database, user_id: str, wanted: Filter, columns: str, size: int
) -> AsyncIterator[list[tuple[Any, ...]]]:
    """Every row of the filter, ``size`` at a time, as ``columns`` of the row ``t``.

    Each run is a transaction of its own: nothing is held while the reader takes its time, and rows that arrive
    meanwhile neither repeat others nor hide them.
    """
    values = wanted.values(user_id) | {"limit": size}
    after: dict[str, Any] | None = None
    while True:
        rows, given = _after(wanted.rows(values), values, after)
        query = (
            f"SELECT t.booked_on, t.transaction_id, {columns} FROM ({rows} {ORDER} LIMIT %(limit)s) t {ORDER}"  # noqa: S608 - constants
        )
        async with database.transaction(user_id) as conn:
            found = await (await conn.execute(query, given)).fetchall()
        yield [row[2:] for row in found]
        if len(found) < size:
            return
        after = {"after_day": found[-1][0], "after_id": found[-1][1]}


async def _page(
    conn: Connection, user_id: str, wanted: Filter, *, head: str, cursor: str | None, limit: int
) -> Answer:
    values = wanted.values(user_id) | {"limit": limit}
    every = wanted.rows(values)
    rows, given = _after(every, values, read_cursor(cursor, {"after_day": _day, "after_id": UUID}))
    totals = _TOTALS.format(rows=every) if cursor is None else "NULL"
    query = _PAGE.format(rows=rows, order=ORDER, item=ITEM, head=head, totals=totals, cursor=_CURSOR)
    row = await (await conn.execute(query, given)).fetchone()
    return answer(row[0] if row else "")


def _after(rows: str, values: dict[str, Any], after: dict[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """The rows behind a key, and the parameters of that."""
    if after is None:
        return rows, values
    clause = AFTER_NO_DAY if after["after_day"] is None else AFTER_DAY
    return f"{rows} AND {clause}", values | after


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
