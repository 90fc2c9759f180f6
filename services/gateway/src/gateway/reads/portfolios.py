"""Named portfolios: which there are, what they hold, and which one a name or an id means."""

from uuid import UUID

from contracts.ids import portfolio_id
from gateway.decisions.names import DEFAULT, is_id, is_storable, key_of
from gateway.reads.pages import Answer, answer, known_id
from gateway.refusals import not_found
from persistence.database import Connection, Database

PORTFOLIO = "portfolio"

_ITEM = """json_build_object('id', m.portfolio_id, 'name', m.name, 'is_default', m.is_default,
    'status', CASE WHEN m.applied THEN 'applied' ELSE 'pending' END,
    'definition_version', m.definition, 'account_ids', m.account_ids,
    'real_accounts', (SELECT coalesce(json_agg(json_build_object('real_account_id', r.real_account_id,
        'institution', r.institution, 'account_ids', r.members, 'counted_account_id', r.counted_account_id,
        'stale', r.stale, 'needs_decision', r.needs_decision)
        ORDER BY r.institution, r.real_account_id), '[]') FROM held r WHERE r.portfolio_id = m.portfolio_id),
    'counts', json_build_object('positions', coalesce(v.positions, 0),
        'real_accounts', (SELECT count(*) FROM held r WHERE r.portfolio_id = m.portfolio_id),
        'accounts', (SELECT coalesce(sum(json_array_length(r.members)), 0) FROM held r
            WHERE r.portfolio_id = m.portfolio_id)),
    'totals', (SELECT coalesce(json_agg(json_build_object('currency', s.currency, 'market_value', s.value,
        'complete', s.complete, 'positions', s.positions) ORDER BY s.currency), '[]')
        FROM sums s WHERE s.portfolio_id = m.portfolio_id),
    'version', coalesce(v.version, 0), 'changed_at', v.changed_at,
    'created_at', m.created_at, 'updated_at', m.updated_at)"""
_WITH = """
WITH mine AS MATERIALIZED (
    SELECT %(default)s::uuid AS portfolio_id, 'default' AS name, '' AS name_key, true AS is_default,
        true AS applied, NULL::bigint AS definition, NULL::jsonb AS account_ids,
        NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at
    UNION ALL
    SELECT p.portfolio_id, p.name, p.name_key, false, EXISTS (
            SELECT 1 FROM portfolio.v_portfolios k JOIN portfolio.v_portfolio_versions w
                ON w.user_id = k.user_id AND w.portfolio_id = k.portfolio_id
            WHERE k.user_id = p.user_id AND k.portfolio_id = p.portfolio_id AND k.version >= p.version),
        p.version, p.account_ids, p.created_at, p.updated_at
    FROM gateway.portfolios p WHERE p.user_id = %(user)s AND NOT p.deleted),
shown AS (SELECT * FROM mine WHERE %(one)s::uuid IS NULL OR portfolio_id = %(one)s),
accounts AS MATERIALIZED (
    SELECT account_id::text AS account_id, real_account_id FROM portfolio.v_accounts WHERE user_id = %(user)s),
named AS (
    SELECT DISTINCT m.portfolio_id, a.real_account_id
    FROM shown m CROSS JOIN LATERAL jsonb_array_elements_text(m.account_ids) AS e(account_id)
    JOIN accounts a ON a.account_id = e.account_id),
held AS MATERIALIZED (
    SELECT m.portfolio_id, r.real_account_id, r.institution, r.members, r.counted_account_id, r.stale,
        r.needs_decision
    FROM shown m JOIN portfolio.v_real_accounts r ON r.user_id = %(user)s
    LEFT JOIN named n ON n.portfolio_id = m.portfolio_id AND n.real_account_id = r.real_account_id
    WHERE m.is_default OR n.real_account_id IS NOT NULL),
sums AS MATERIALIZED (
    SELECT p.portfolio_id, p.currency, coalesce(trim_scale(sum(p.market_value))::text, '0') AS value,
        bool_and(p.value_complete) AS complete, count(*) AS positions
    FROM portfolio.v_positions p
    WHERE p.user_id = %(user)s AND (%(one)s::uuid IS NULL OR p.portfolio_id = %(one)s)
    GROUP BY p.portfolio_id, p.currency)
"""
_FROM = """shown m LEFT JOIN portfolio.v_portfolio_versions v
    ON v.user_id = %(user)s AND v.portfolio_id = m.portfolio_id"""
_LIST = f"""{_WITH}
SELECT json_build_object('items', json_agg({_ITEM} ORDER BY NOT m.is_default, m.name_key), 'next_cursor', NULL)::text
FROM {_FROM}
"""  # noqa: S608 - constants of this module
_ONE = f"{_WITH} SELECT {_ITEM}::text FROM {_FROM}"  # noqa: S608 - constants of this module
_FIND = """
SELECT portfolio_id FROM gateway.portfolios
WHERE user_id = %s AND NOT deleted AND (portfolio_id = %s OR name_key = %s)
"""


async def page(database: Database, user_id: str) -> Answer:
    """All of the user's portfolios, ``default`` first; there are never so many that they need pages."""
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_LIST, _values(user_id))).fetchone()
    return answer(row[0] if row else "")


async def one(database: Database, user_id: str, portfolio: str) -> Answer:
    """One portfolio, by its id.

    Raises:
        ApiError: 404, none of the user's.
    """
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_ONE, _values(user_id, portfolio))).fetchone()
    if row is None:
        raise not_found(PORTFOLIO)
    return answer(row[0])


async def portfolio_of(database: Database, user_id: str, wanted: str) -> str:
    """The id of the portfolio a user means by a name (in any case), by its id, or by ``default``.

    Raises:
        ApiError: 404, the user has no such portfolio.
    """
    if is_default(user_id, wanted):
        return portfolio_id(user_id)
    async with database.transaction(user_id) as conn:
        return await portfolio_in(conn, user_id, wanted)


async def portfolio_in(conn: Connection, user_id: str, wanted: str) -> str:
    """The same, inside the user's transaction.

    Raises:
        ApiError: 404, the user has no such portfolio.
    """
    if is_default(user_id, wanted):
        return portfolio_id(user_id)
    identity = known_id(wanted, PORTFOLIO) if is_id(wanted) else None
    key = None if identity else key_of(wanted)
    if key is not None and not is_storable(key):
        raise not_found(PORTFOLIO)
    row = await (await conn.execute(_FIND, (user_id, identity, key))).fetchone()
    if row is None:
        raise not_found(PORTFOLIO)
    return str(row[0])


def is_default(user_id: str, wanted: str) -> bool:
    """Whether the portfolio meant is the one that everybody has, empty or not."""
    return key_of(wanted) == DEFAULT or wanted.lower() == portfolio_id(user_id)


def _values(user_id: str, one: str | None = None) -> dict[str, str | UUID | None]:
    return {"user": user_id, "default": portfolio_id(user_id), "one": one}
