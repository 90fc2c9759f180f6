"""The portfolio at a glance: sums per currency, type and provider; how fresh it is; what does not add up.

A sum over values of which some are unknown is marked incomplete; currencies are never added up.
"""

from gateway.reads.pages import Answer, answer
from persistence.database import Database

_SUM = "coalesce(trim_scale(sum({value}))::text, '0')"
_SUMMARY = f"""
WITH positions AS MATERIALIZED (
    SELECT p.type, p.currency, p.market_value, p.value_complete, p.stale, p.as_of, p.contributions,
        json_array_length(coalesce(p.excluded, '[]')) AS excluded
    FROM portfolio.v_positions p WHERE p.user_id = %(user)s AND p.portfolio_id = %(portfolio)s),
parts AS (
    SELECT c.part->>'provider' AS provider, p.currency, (c.part->>'market_value')::numeric AS value
    FROM positions p CROSS JOIN LATERAL json_array_elements(coalesce(p.contributions, '[]')) AS c(part)),
totals AS (
    SELECT currency, {_SUM.format(value="market_value")} AS value, bool_and(value_complete) AS complete,
        count(*) AS positions FROM positions GROUP BY currency),
types AS (
    SELECT type, currency, {_SUM.format(value="market_value")} AS value, bool_and(value_complete) AS complete,
        count(*) AS positions FROM positions GROUP BY type, currency),
providers AS (
    SELECT provider, currency, {_SUM.format(value="value")} AS value, bool_and(value IS NOT NULL) AS complete,
        count(*) AS positions FROM parts GROUP BY provider, currency),
accounts AS (
    SELECT count(*) AS total, count(*) FILTER (WHERE counted) AS counted, count(*) FILTER (WHERE stale) AS stale,
        count(*) FILTER (WHERE suspect) AS suspect, count(*) FILTER (WHERE needs_decision) AS undecided,
        min(as_of) FILTER (WHERE counted) AS oldest, max(synced_at) AS newest
    FROM portfolio.v_accounts WHERE user_id = %(user)s),
links AS (
    SELECT status, count(*) AS n FROM portfolio.v_connections
    WHERE user_id = %(user)s AND status <> 'removed' GROUP BY status),
checks AS (SELECT * FROM portfolio.v_account_checks WHERE user_id = %(user)s),
version AS (
    SELECT coalesce(max(version), 0) AS version, max(changed_at) AS changed_at
    FROM portfolio.v_portfolio_versions WHERE user_id = %(user)s AND portfolio_id = %(portfolio)s)
SELECT v.version, json_build_object(
    'portfolio_id', %(portfolio)s::uuid, 'version', v.version, 'changed_at', v.changed_at,
    'totals', (SELECT coalesce(json_agg(json_build_object('currency', currency, 'market_value', value,
        'complete', complete, 'positions', positions) ORDER BY currency), '[]') FROM totals),
    'by_type', (SELECT coalesce(json_agg(json_build_object('type', type, 'currency', currency,
        'market_value', value, 'complete', complete, 'positions', positions) ORDER BY type, currency), '[]')
        FROM types),
    'by_provider', (SELECT coalesce(json_agg(json_build_object('provider', provider, 'currency', currency,
        'market_value', value, 'complete', complete, 'positions', positions) ORDER BY provider, currency), '[]')
        FROM providers),
    'positions', json_build_object('total', (SELECT count(*) FROM positions),
        'stale', (SELECT count(*) FROM positions WHERE stale),
        'incomplete', (SELECT count(*) FROM positions WHERE NOT value_complete),
        'excluded_duplicates', (SELECT coalesce(sum(excluded), 0) FROM positions)),
    'accounts', json_build_object('total', a.total, 'counted', a.counted, 'stale', a.stale,
        'suspect', a.suspect, 'needs_decision', a.undecided),
    'connections', (SELECT coalesce(json_object_agg(status, n ORDER BY status), '{{}}') FROM links),
    'freshness', json_build_object('oldest_as_of', a.oldest, 'newest_synced_at', a.newest),
    'checks', json_build_object('ok', (SELECT count(*) FROM checks WHERE outcome = 'ok'),
        'break', (SELECT count(*) FROM checks WHERE outcome = 'break'),
        'unknown', (SELECT count(*) FROM checks WHERE outcome = 'unknown'),
        'breaks', (SELECT coalesce(json_agg(json_build_object('real_account_id', real_account_id,
            'account_id', account_id, 'reason', reason, 'counted', trim_scale(counted)::text,
            'expected', trim_scale(expected)::text, 'difference', trim_scale(difference)::text,
            'currency', currency, 'checked_at', checked_at) ORDER BY real_account_id), '[]')
            FROM checks WHERE outcome = 'break')))::text
FROM version v CROSS JOIN accounts a
"""  # noqa: S608 - constants of this module


async def summary(database: Database, user_id: str, portfolio: str) -> Answer:
    """The user's portfolio at a glance; its tag begins with the portfolio's version."""
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_SUMMARY, {"user": user_id, "portfolio": portfolio})).fetchone()
    version, text = row or (0, "")
    found = answer(text)
    return Answer(found.body, f"{version}-{found.etag}")
