"""Why a position is what it is: its parts with their snapshots, what was left out, and what both rest on.

The sums are made of the parts each time, not copied from the position: were they to differ, it would show.
"""

from uuid import UUID

from gateway.reads.checks import CHECK
from gateway.reads.meanings import WORDS, exclusion, meaning
from gateway.reads.pages import Answer, answer
from gateway.reads.positions import ITEM, STORED
from gateway.refusals import not_found
from persistence.database import Database

_SIGHT = """'real_account', json_build_object('id', {0}.real_account_id, 'institution', r.institution,
        'institution_name', n.institution_name, 'name', a.name, 'mask', a.mask,
        'needs_decision', coalesce(r.needs_decision, false), 'stale', coalesce(r.stale, false)),
    'account_id', {0}.account_id, 'connection_id', a.connection_id, 'connection_status', a.connection_status,
    'provider', {0}.provider, 'quantity', trim_scale({0}.quantity)::text,
    'market_value', trim_scale({0}.market_value)::text, 'cost_basis', trim_scale({0}.cost_basis)::text"""
_SIGHTED = """
    LEFT JOIN portfolio.v_accounts a ON a.user_id = %(user)s AND a.account_id = {0}.account_id
    LEFT JOIN portfolio.v_connections n ON n.user_id = %(user)s AND n.connection_id = a.connection_id
    LEFT JOIN portfolio.v_real_accounts r ON r.user_id = %(user)s AND r.real_account_id = {0}.real_account_id"""
_SNAPSHOT = """'snapshot', CASE WHEN {id} IS NULL THEN NULL ELSE json_build_object('id', {id},
        'content_hash', {0}.content_hash, 'version', {0}.version, 'state', w.state, 'agrees', {agrees}) END"""
# The instrument as this source describes it: the stored snapshot names it, the holdings show it in full. OFFSET 0
# keeps the search among the account's holdings; without it every instrument there is would be searched.
_SEEN = """
    LEFT JOIN LATERAL (
        SELECT h.instrument, h.price, h.price_as_of FROM (SELECT * FROM portfolio.v_holdings v
            WHERE v.user_id = %(user)s AND v.account_id = {0}.account_id AND v.currency = {0}.currency OFFSET 0) h
        WHERE h.instrument_key = w.key ORDER BY h.quantity = {0}.quantity DESC LIMIT 1) h ON true"""
_STORED_LINE = """
    LEFT JOIN LATERAL (
        SELECT s.state, l.line->>'instrument_key' AS key, (l.line->>'quantity')::numeric AS quantity
        FROM portfolio.v_snapshots s LEFT JOIN LATERAL (
            SELECT e.line FROM json_array_elements(s.content) AS e(line)
            WHERE e.line->>'instrument_id' = {0}.instrument_id AND e.line->>'currency' = {0}.currency LIMIT 1) l ON true
        WHERE s.user_id = %(user)s AND s.account_id = {0}.account_id AND s.snapshot_id = {snapshot}) w ON true"""
_EXPLAIN = f"""
WITH p AS MATERIALIZED (
    SELECT * FROM portfolio.v_positions WHERE user_id = %(user)s AND position_id = %(position)s),
c AS MATERIALIZED (
    SELECT e.*, p.currency FROM p CROSS JOIN LATERAL ROWS FROM (json_to_recordset(p.contributions)
        AS (real_account_id uuid, account_id uuid, provider text, quantity numeric, market_value numeric,
            cost_basis numeric, instrument_id text, price numeric, price_as_of timestamptz, as_of timestamptz,
            synced_at timestamptz, version bigint, snapshot_id uuid, content_hash text))
        WITH ORDINALITY AS e(real_account_id, account_id, provider, quantity, market_value, cost_basis,
            instrument_id, price, price_as_of, as_of, synced_at, version, snapshot_id, content_hash, place)),
x AS MATERIALIZED (
    SELECT e.*, p.currency FROM p CROSS JOIN LATERAL ROWS FROM (json_to_recordset(p.excluded)
        AS (real_account_id uuid, account_id uuid, provider text, quantity numeric, market_value numeric,
            cost_basis numeric, instrument_id text, counted_account_id uuid, rule text))
        WITH ORDINALITY AS e(real_account_id, account_id, provider, quantity, market_value, cost_basis,
            instrument_id, counted_account_id, rule, place)),
involved AS MATERIALIZED (SELECT real_account_id FROM c UNION SELECT real_account_id FROM x),
sums AS (
    SELECT coalesce(sum(quantity), 0) AS quantity, sum(market_value) AS market_value,
        coalesce(bool_and(market_value IS NOT NULL), false) AS value_complete, sum(cost_basis) AS cost_basis,
        coalesce(bool_and(cost_basis IS NOT NULL), false) AS cost_basis_complete FROM c),
grouped AS MATERIALIZED (
    SELECT r.real_account_id, r.members, r.needs_decision FROM portfolio.v_real_accounts r JOIN involved USING
        (real_account_id) WHERE r.user_id = %(user)s AND json_array_length(r.members) > 1),
pairs AS (
    SELECT g.real_account_id, json_agg(json_build_object('account_id', i.account_id,
        'other_account_id', i.other_account_id, 'verdict', i.verdict, 'rule', i.rule,
        'meaning', {meaning("i.rule", "evidence")}, 'score', trim_scale(i.score)::text, 'reasons', i.reasons,
        'decision', CASE WHEN d.decision_id IS NULL THEN NULL ELSE json_build_object('id', d.decision_id,
            'verdict', d.verdict, 'decided_by', d.decided_by, 'decided_at', d.decided_at) END) ORDER BY i.account_id, i.other_account_id) AS pairs
    FROM grouped g JOIN portfolio.v_identity_evidence i ON i.user_id = %(user)s
        AND i.account_id::text IN (SELECT json_array_elements_text(g.members))
        AND i.other_account_id::text IN (SELECT json_array_elements_text(g.members))
    LEFT JOIN portfolio.v_identity_decisions d ON d.user_id = i.user_id AND d.account_id = i.account_id
        AND d.other_account_id = i.other_account_id AND d.holds AND d.verdict <> 'undone'
    GROUP BY g.real_account_id)
SELECT json_build_object('position', json_build_object({ITEM.format(**STORED)}),
    'rule', (%(words)s::jsonb)->>'rule',
    'contributions', (SELECT coalesce(json_agg(json_build_object({_SIGHT.format("c")},
        'instrument', coalesce(h.instrument, p.instrument), 'price', trim_scale(c.price)::text,
        'clocks', json_build_object('as_of', c.as_of, 'price_as_of', c.price_as_of, 'synced_at', c.synced_at),
        {_SNAPSHOT.format("c", id="c.snapshot_id", agrees="coalesce(w.quantity = c.quantity, false)")},
        'counted_because', json_build_object('reason', coalesce(r.reason, 'unknown'),
            'meaning', {meaning("r.reason", "reasons")}, 'until', r.held_back_until),
        'last_switch', (SELECT json_build_object('at', t.at, 'from_account_id', t.from_account_id,
            'to_account_id', t.to_account_id, 'reason', t.reason, 'meaning', {meaning("t.reason", "reasons")})
            FROM portfolio.v_source_switches t WHERE t.user_id = %(user)s
                AND t.real_account_id = c.real_account_id ORDER BY t.switch_id DESC LIMIT 1)) ORDER BY c.place), '[]')
        FROM c{_SIGHTED.format("c")}{_STORED_LINE.format("c", snapshot="c.snapshot_id")}
        {_SEEN.format("c")}),
    'excluded', (SELECT coalesce(json_agg(json_build_object({_SIGHT.format("x")},
        'instrument', h.instrument, 'price', trim_scale(h.price)::text,
        'clocks', json_build_object('as_of', a.as_of, 'price_as_of', h.price_as_of, 'synced_at', a.synced_at),
        {_SNAPSHOT.format("a", id="a.snapshot_id", agrees="coalesce(w.quantity = x.quantity, false)")},
        'counted_account_id', x.counted_account_id, 'rule', x.rule, 'meaning', {exclusion("x.rule")})
        ORDER BY x.place), '[]')
        FROM x{_SIGHTED.format("x")}{_STORED_LINE.format("x", snapshot="a.snapshot_id")}
        {_SEEN.format("x")}),
    'sums', (SELECT json_build_object('quantity', trim_scale(s.quantity)::text,
        'market_value', trim_scale(s.market_value)::text, 'value_complete', s.value_complete,
        'cost_basis', trim_scale(s.cost_basis)::text, 'cost_basis_complete', s.cost_basis_complete,
        'exact', s.quantity = p.quantity AND s.market_value IS NOT DISTINCT FROM p.market_value
            AND s.cost_basis IS NOT DISTINCT FROM p.cost_basis AND s.value_complete = p.value_complete
            AND s.cost_basis_complete = p.cost_basis_complete) FROM sums s),
    'identity', (SELECT coalesce(json_agg(json_build_object('real_account_id', g.real_account_id,
        'account_ids', g.members, 'needs_decision', g.needs_decision, 'pairs', coalesce(q.pairs, '[]'))
        ORDER BY g.real_account_id), '[]') FROM grouped g LEFT JOIN pairs q USING (real_account_id)),
    'checks', (SELECT coalesce(json_agg({CHECK} ORDER BY k.real_account_id), '[]')
        FROM portfolio.v_account_checks k JOIN involved USING (real_account_id) WHERE k.user_id = %(user)s))::text
FROM p
"""  # noqa: S608 - constants of this module and of its neighbours


async def explain(database: Database, user_id: str, position_id: UUID) -> Answer:
    """How a position came to be.

    Raises:
        ApiError: 404, none of the user's.
    """
    values = {"user": user_id, "position": position_id} | WORDS
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_EXPLAIN, values)).fetchone()
    if row is None:
        raise not_found("position")
    return answer(row[0])
