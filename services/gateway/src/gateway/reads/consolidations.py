"""Consolidations on demand: what was asked for, and what came of it."""

from dataclasses import dataclass
from uuid import UUID

from contracts.ids import portfolio_id
from gateway.refusals import not_found
from persistence.database import Connection

_ONE = """
WITH expected AS (
    SELECT e.id::uuid AS portfolio_id, CASE WHEN e.id::uuid = %(default)s THEN 'default' ELSE p.name END AS name
    FROM gateway.consolidation_requests q CROSS JOIN LATERAL jsonb_array_elements_text(q.portfolio_ids) AS e(id)
    LEFT JOIN gateway.portfolios p ON p.user_id = q.user_id AND p.portfolio_id = e.id::uuid
    WHERE q.user_id = %(user)s AND q.request_id = %(request)s AND NOT coalesce(p.deleted, false)),
results AS (
    SELECT e.name, e.portfolio_id = %(default)s AS is_default, c.*
    FROM expected e JOIN portfolio.v_consolidations c
        ON c.user_id = %(user)s AND c.request_id = %(request)s AND c.portfolio_id = e.portfolio_id),
missing AS (SELECT portfolio_id FROM expected EXCEPT SELECT portfolio_id FROM results)
SELECT NOT EXISTS (SELECT 1 FROM missing), json_build_object('request_id', q.request_id,
    'status', CASE WHEN EXISTS (SELECT 1 FROM missing) THEN 'running' ELSE 'completed' END,
    'requested_by', q.requested_by, 'requested_at', q.requested_at,
    'results', (SELECT coalesce(json_agg(json_build_object('portfolio_id', portfolio_id, 'name', name,
        'positions', positions, 'accounts', accounts, 'real_accounts', real_accounts, 'providers', providers,
        'changed', changed, 'removed', removed, 'breaks', breaks, 'version', version,
        'seconds', trim_scale(extract(epoch FROM finished_at - started_at))::text,
        'finished_at', finished_at) ORDER BY NOT is_default, name, portfolio_id), '[]') FROM results),
    'missing', (SELECT coalesce(json_agg(portfolio_id ORDER BY portfolio_id), '[]') FROM missing))::text
FROM gateway.consolidation_requests q WHERE q.user_id = %(user)s AND q.request_id = %(request)s
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A consolidation as JSON text."""

    request_id: UUID
    finished: bool
    body: str


async def one(conn: Connection, user_id: str, request_id: UUID) -> Found:
    """How far a consolidation is; portfolios dropped since are not waited for.

    Raises:
        ApiError: 404, none of the user's.
    """
    values = {"user": user_id, "request": request_id, "default": portfolio_id(user_id)}
    row = await (await conn.execute(_ONE, values)).fetchone()
    if row is None:
        raise not_found("consolidation")
    return Found(request_id, finished=row[0], body=row[1])
