"""What an account was worth day by day and its rates of return, by the word of its provider."""

from datetime import date
from uuid import UUID

from gateway.reads.pages import Answer, answer
from gateway.refusals import not_found
from persistence.database import Database

REASONS = {
    "manual_account": "Nobody reports the past of an account that is entered by hand.",
    "nothing_reported": "Its provider has told no history: not yet, or never where the institution has none.",
    "nothing_in_range": "There is a history, but not of these days.",
}
"""Why there is nothing to show."""
_ONE = """
SELECT json_build_object('account_id', a.account_id, 'currency', coalesce(p.currency, a.currency),
    'as_of', p.as_of, 'synced_at', p.synced_at,
    'points', coalesce(h.points, '[]'),
    'returns', coalesce((SELECT json_agg(json_build_object('period', e.one->>'period',
        'rate', trim_scale((e.one->>'rate')::numeric)::text) ORDER BY e.place)
        FROM json_array_elements(p.returns) WITH ORDINALITY AS e(one, place)), '[]'),
    'reason', CASE WHEN h.points IS NOT NULL THEN NULL WHEN h.known > 0 THEN 'nothing_in_range'
        WHEN json_array_length(p.returns) > 0 THEN NULL
        WHEN a.provider = 'manual' THEN 'manual_account' ELSE 'nothing_reported' END)::text
FROM portfolio.v_accounts a
LEFT JOIN portfolio.v_performance p ON p.user_id = a.user_id AND p.account_id = a.account_id
CROSS JOIN LATERAL (
    SELECT count(*) AS known, json_agg(json_build_object('day', b.day, 'total', trim_scale(b.total)::text)
        ORDER BY b.day) FILTER (WHERE b.day BETWEEN coalesce(%(start)s, '-infinity'::date)
            AND coalesce(%(end)s, 'infinity'::date)) AS points
    FROM portfolio.v_balance_history b WHERE b.user_id = a.user_id AND b.account_id = a.account_id) h
WHERE a.user_id = %(user)s AND a.account_id = %(account)s
"""


async def performance(
    database: Database, user_id: str, account_id: UUID, *, start: date | None, end: date | None
) -> Answer:
    """The account's series and returns; where it is empty, one of ``REASONS``.

    Raises:
        ApiError: 404, none of the user's.
    """
    values = {"user": user_id, "account": account_id, "start": start, "end": end}
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_ONE, values)).fetchone()
    if row is None:
        raise not_found("account")
    return answer(row[0])
