"""The portfolio at a glance: sums per currency, type and provider; how fresh it is; what does not add up.

A sum over values of which some are unknown is marked incomplete; currencies are added up in a base currency alone.
"""

from functools import cache

from contracts.ids import portfolio_id
from gateway.reads.pages import Answer, answer
from gateway.reads.sums import IN_BASE, KNOWN, PARTS, RATES
from gateway.reads.view import PLAIN, View
from persistence.database import Database

_IDS = "SELECT coalesce(json_agg(account_id ORDER BY account_id), '[]') FROM sights WHERE {0}"
_SUMMARY = f"""
WITH {{rates}}positions AS MATERIALIZED (
    SELECT p.type, p.currency, p.market_value, p.value_complete, p.stale, {PARTS} AS parts,
        json_array_length(coalesce(p.excluded, '[]')) AS excluded
    FROM portfolio.v_positions p WHERE p.user_id = %(user)s AND p.portfolio_id = %(portfolio)s),
parts AS (
    SELECT c.provider, p.currency, c.market_value AS value
    FROM positions p CROSS JOIN LATERAL json_to_recordset(p.parts) AS c(provider text, market_value numeric)),
totals AS (
    SELECT currency, coalesce(sum(market_value), 0) AS value, bool_and(value_complete) AS complete,
        count(*) AS positions FROM positions GROUP BY currency),
types AS (
    SELECT type, currency, {KNOWN.format(value="market_value")} AS value, bool_and(value_complete) AS complete,
        count(*) AS positions FROM positions GROUP BY type, currency),
providers AS (
    SELECT provider, currency, {KNOWN.format(value="value")} AS value, bool_and(value IS NOT NULL) AS complete,
        count(*) AS positions FROM parts GROUP BY provider, currency),
named AS (
    SELECT account_ids FROM portfolio.v_portfolios
    WHERE user_id = %(user)s AND portfolio_id = %(portfolio)s AND NOT deleted),
everyone AS MATERIALIZED (
    SELECT account_id, connection_id, real_account_id, counted, stale, suspect, suspect_reason, needs_decision,
        waiting, as_of, synced_at
    FROM portfolio.v_accounts WHERE user_id = %(user)s),
sights AS MATERIALIZED (
    SELECT * FROM everyone WHERE %(whole)s OR real_account_id IN (
        SELECT o.real_account_id FROM everyone o WHERE o.account_id::text IN (
            SELECT json_array_elements_text(account_ids) FROM named))),
accounts AS (
    SELECT count(*) AS total, count(*) FILTER (WHERE counted) AS counted, count(*) FILTER (WHERE stale) AS stale,
        count(*) FILTER (WHERE suspect) AS suspect, count(*) FILTER (WHERE needs_decision) AS undecided,
        min(as_of) FILTER (WHERE counted) AS oldest, max(synced_at) AS newest
    FROM sights),
links AS (
    SELECT c.status, count(*) AS n FROM portfolio.v_connections c
    WHERE c.user_id = %(user)s AND c.status <> 'removed' AND (%(whole)s
        OR c.connection_id IN (SELECT connection_id FROM sights)) GROUP BY c.status),
checks AS (
    SELECT k.* FROM portfolio.v_account_checks k WHERE k.user_id = %(user)s AND (%(whole)s
        OR k.real_account_id IN (SELECT real_account_id FROM sights))),
version AS (
    SELECT coalesce(max(version), 0) AS version, max(changed_at) AS changed_at
    FROM portfolio.v_portfolio_versions WHERE user_id = %(user)s AND portfolio_id = %(portfolio)s)
SELECT v.version, json_build_object(
    'portfolio_id', %(portfolio)s::uuid, 'version', v.version, 'changed_at', v.changed_at,
    'totals', (SELECT coalesce(json_agg(json_build_object('currency', currency,
        'market_value', trim_scale(value)::text, 'complete', complete, 'positions', positions) ORDER BY currency),
        '[]') FROM totals),
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
    'attention', json_build_object('quarantined', ({_IDS.format("suspect_reason = 'quarantined'")}),
        'waiting', ({_IDS.format("waiting")}), 'needs_decision', ({_IDS.format("needs_decision")})),
    'connections', (SELECT coalesce(json_object_agg(status, n ORDER BY status), '{{{{}}}}') FROM links),
    'freshness', json_build_object('oldest_as_of', a.oldest, 'newest_synced_at', a.newest),
    'checks', json_build_object('ok', (SELECT count(*) FROM checks WHERE outcome = 'ok'),
        'break', (SELECT count(*) FROM checks WHERE outcome = 'break'),
        'unknown', (SELECT count(*) FROM checks WHERE outcome = 'unknown'),
        'breaks', (SELECT coalesce(json_agg(json_build_object('real_account_id', real_account_id,
            'account_id', account_id, 'reason', reason, 'counted', trim_scale(counted)::text,
            'expected', trim_scale(expected)::text, 'difference', trim_scale(difference)::text,
            'currency', currency, 'checked_at', checked_at) ORDER BY real_account_id), '[]')
            FROM checks WHERE outcome = 'break')){{base}})::text
FROM version v CROSS JOIN accounts a
"""  # noqa: S608 - constants of this module


@cache
def statement(*, based: bool) -> str:
    """The statement of the summary, which converts nothing unless a base is asked for."""
    if not based:
        return _SUMMARY.format(rates="", base="")
    return _SUMMARY.format(rates=f"{RATES}, ", base=f", 'base', {IN_BASE.format(totals='totals')}")


async def summary(database: Database, user_id: str, portfolio: str, view: View = PLAIN) -> Answer:
    """The user's portfolio at a glance; its tag begins with the portfolio's version.

    Accounts, connections and checks are those of the portfolio: all of the user's for ``default``.
    """
    whole = portfolio == portfolio_id(user_id)
    values = {"user": user_id, "portfolio": portfolio, "whole": whole} | view.values()
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(statement(based=view.base is not None), values)).fetchone()
    version, text = row or (0, "")
    found = answer(text)
    return Answer(found.body, f"{version}-{found.etag}{view.tag}")
