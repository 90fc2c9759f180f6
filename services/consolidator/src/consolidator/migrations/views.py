"""The views the gateway reads. All run with the reader's rights: each user sees their own rows only.

Filter by nothing but what you want; ``user_id`` is implied. Numbers are numeric, times timestamptz, ids uuid.

``v_connections``: connection_id, provider, institution, institution_name, external_id, connection_type,
status (active, stale_cache, broken, revoked, removed; ``active`` where nothing was said), status_reason,
provider_code, status_at, linked_at, accounts (how many are present), as_of, synced_at (oldest of its
accounts' snapshots), repair_by (access ends then unless the user renews it).

``v_accounts``: one row per provider account that is present. account_id, connection_id, provider,
institution, real_account_id, external_id, name, official_name, type, raw_type, currency, mask, status,
is_paper, total_amount, total_currency, trading, realtime, holds_securities, as_of, synced_at, version,
holdings (count), suspect (something newer could not be believed), suspect_reason (``quarantined`` or what
was missing), counted (whether this source is the one that is summed), counted_account_id, counted_reason,
stale, needs_decision, connection_status, connection_type, snapshot_id, content_hash (of the current
snapshot), waiting (seen, but not yet described by its provider: not counted yet), excluded_rule (why this
source is not the counted one; null where it is, or where there is nothing to count).

``v_balances``: account_id, currency, cash, available, buying_power, equity, maintenance_excess,
margin_loan, as_of, synced_at.

``v_holdings``: the holdings of present provider accounts, apart. account_id, real_account_id, provider,
instrument_key, instrument_id, currency, ticker, type, name, quantity, price, price_as_of, market_value, cost_basis,
cash_equivalent, as_of, synced_at, instrument (json in the form of ``contracts.instruments.Instrument``).

``v_positions``: the consolidated rows. position_id, portfolio_id, user_id, instrument_key, currency,
ticker, type, name, quantity, price, price_as_of, market_value, value_complete, cost_basis,
cost_basis_complete, provider, account_id, account_ids, position_source (the provider, or ``consolidated``
for several contributions), position_status (current, stale), stale, as_of (of its oldest contributor),
last_consolidation_at, trading, realtime (of the contributor that ``account_id`` names), instrument (json),
contributions (json list in the form of ``contracts.holdings.Contribution``, with the instrument_id, price
and price_as_of of the contributor, and the snapshot_id and content_hash of its snapshot), parts (the same
without what is looked up of the snapshots: cheaper), excluded (json
list in the form of ``contracts.holdings.Exclusion``, with market_value and cost_basis). Ask for the last three only where they are shown: what is not
selected is not computed.

``v_account_checks``: real_account_id, account_id, outcome (ok, break, unknown), reason, counted, expected,
difference, currency, checked_at.

``v_sync_log``: run_id, connection_id, provider, institution, kind (initial, incremental, check), trigger, status
(started, completed, partial, failed), accounts, holdings, transactions, orders (counts of what was fetched), unchanged
(accounts of which nothing was), new_items, updated_items (transactions and orders), covers_from, covers_through,
provider_calls, cost_amount, cost_currency, started_at, finished_at (null while it runs), error_code, error.

``v_transactions``: transaction_id, account_id, connection_id, provider, institution, real_account_id, counted (whether
its account is the counted source: sums over real accounts take these only), external_id, type, raw_type, description,
currency, amount (positive = cash in), quantity, price, fee, instrument_key, symbol, instrument (json), traded_at,
settlement_date, booked_on (the day by which it is filed and listed), pending, option_action, fx_rate,
broker_reference, first_seen_at.

``v_duplicate_accounts``: account_id of each account whose transactions and orders are another account's again: of one
real account the sources that are not counted, and accounts that are gone but present again under another connection.

``v_transaction_coverage``: account_id, covers_from, covers_through: all days between are known whole. Where there are
several such ranges it is the latest.

``v_orders``: account_id, connection_id, provider, institution, broker_order_id, status, raw_status, side,
instrument_key, symbol, instrument (json), order_type, time_in_force, quantity, filled_quantity, limit_price,
stop_price, average_price, currency, placed_at, updated_at, executed_at, first_seen_at.

``v_balance_history``: account_id, day, total (in the currency of v_performance).

``v_performance``: account_id, currency, returns (json list of {period, rate}), as_of, synced_at.

``v_portfolio_history``: portfolio_id, day, currency, market_value, complete, at.

``v_portfolio_versions``: portfolio_id, version (moves when a position changes), positions, changed_at,
synced_at (of the newest snapshot: clocks move without the version when nothing else changed).

``v_real_accounts``: real_account_id, institution, members (json list of account ids), counted_account_id,
reason, stale, needs_decision, excluded (json list of [account id, rule]), held_back_until (a better source
has recovered and takes over then), changed_at.

``v_identity_evidence``: account_id, other_account_id, verdict (same, different, needs_decision), rule,
score, reasons (json list).

``v_identity_decisions``: decision_id, account_id, other_account_id (the higher id), verdict (same,
different, undone), decided_by, decided_at, holds (whether it is the newest of its pair).

``v_snapshot_judgements``: judgement_id, account_id, version, verdict (accept, reject), judged_by, judged_at.

``v_snapshots``: every complete snapshot seen lately. snapshot_id, account_id, version, content_hash, as_of,
synced_at, holdings (count), value, value_currency, unpriced, state (current, quarantined, superseded,
rejected), first_synced_at (of a quarantine), content (json list of instrument_id, instrument_key, currency,
quantity, price, market_value, cost_basis, price_as_of, cash_equivalent; numbers as strings).

``v_source_switches``: switch_id, real_account_id, at, from_account_id, to_account_id, reason.

``v_portfolios``: named portfolios, dropped ones included. portfolio_id, name, account_ids (json list), version,
deleted, defined_at. ``default`` is not among them.

``v_consolidations``: what a consolidation on demand did to each portfolio. request_id, portfolio_id,
requested_by, requested_at, started_at, finished_at, positions, accounts (counted sources), real_accounts,
providers (json: counted sources by provider), changed, removed, breaks, version.
"""

_INSTRUMENT = """json_build_object('key', i.key, 'kind', i.kind, 'symbol', i.symbol, 'name', i.name,
    'currency', i.currency, 'mic', i.mic, 'figi', i.figi, 'figi_share_class', i.figi_share_class,
    'isin', i.isin, 'cusip', i.cusip, 'provider_security_id', i.provider_security_id,
    'multiplier', i.multiplier::text, 'option', i.option, 'maturity', i.maturity)"""
_PAYLOAD = """SELECT json_agg(json_build_object('instrument_id', e.line->'ref'->>'instrument_id',
    'instrument_key', e.line->'ref'->>'key', 'currency', e.line->>'currency', 'quantity', e.line->>'quantity',
    'price', e.line->>'price', 'market_value', e.line->>'market_value', 'cost_basis', e.line->>'cost_basis',
    'price_as_of', e.line->>'price_as_of',
    'cash_equivalent', coalesce((e.line->>'cash_equivalent')::boolean, false)) ORDER BY e.place)
    FROM json_array_elements({0}) WITH ORDINALITY AS e(line, place)"""
_HELD = """SELECT json_agg(json_build_object('instrument_id', h.instrument_id, 'instrument_key', i.key,
    'currency', h.currency, 'quantity', trim_scale(h.quantity)::text, 'price', trim_scale(h.price)::text,
    'market_value', trim_scale(h.market_value)::text, 'cost_basis', trim_scale(h.cost_basis)::text,
    'price_as_of', h.price_as_of, 'cash_equivalent', h.cash_equivalent) ORDER BY i.key, h.currency)
    FROM portfolio.holdings h JOIN portfolio.instruments i ON i.instrument_id = h.instrument_id
    WHERE h.user_id = s.user_id AND h.account_id = s.account_id"""
_CURRENT = "s.user_id = {0}.user_id AND s.account_id = {0}.account_id AND s.state = 'current'"

VIEWS: dict[str, tuple[str, str]] = {
    "v_connections": (
        "A user's connections and how fresh they are.",
        """SELECT c.user_id, c.connection_id, c.provider, c.institution, c.institution_name, c.external_id,
            c.connection_type, coalesce(c.status, 'active') AS status, c.status_reason, c.provider_code,
            c.status_at, c.linked_at, coalesce(a.accounts, 0) AS accounts, a.as_of, a.synced_at, c.repair_by
        FROM portfolio.connections c
        LEFT JOIN LATERAL (
            SELECT count(*) AS accounts, min(s.as_of) AS as_of, min(s.synced_at) AS synced_at
            FROM portfolio.accounts a
            LEFT JOIN portfolio.snapshots s ON s.user_id = a.user_id AND s.account_id = a.account_id
                AND s.state = 'current'
            WHERE a.user_id = c.user_id AND a.connection_id = c.connection_id AND NOT a.gone) a ON true""",
    ),
    "v_accounts": (
        "Provider accounts that are present, with the real account each belongs to.",
        """SELECT a.user_id, a.account_id, a.connection_id, a.provider, a.institution, a.real_account_id,
            a.external_id, a.name, a.official_name, a.type, a.raw_type, a.currency, a.mask, a.status,
            a.is_paper, a.total_amount, a.total_currency, coalesce(a.trading, false) AS trading,
            coalesce(a.realtime, false) AS realtime, a.holds_securities, s.as_of, s.synced_at, s.version,
            s.holdings, (q.version IS NOT NULL OR coalesce(g.version > coalesce(s.version, 0), false)) AS suspect,
            CASE WHEN q.version IS NOT NULL THEN 'quarantined'
                WHEN g.version > coalesce(s.version, 0) THEN g.gap END AS suspect_reason,
            coalesce(r.counted_account_id = a.account_id, false) AS counted, r.counted_account_id,
            r.reason AS counted_reason, coalesce(r.stale, false) AS stale,
            coalesce(r.needs_decision, false) AS needs_decision,
            coalesce(c.status, 'active') AS connection_status, c.connection_type, s.snapshot_id,
            s.content_hash, coalesce(r.reason = 'not_described', false) AS waiting,
            (SELECT e.one->>1 FROM json_array_elements(r.excluded) AS e(one)
                WHERE e.one->>0 = a.account_id::text) AS excluded_rule
        FROM portfolio.accounts a
        LEFT JOIN portfolio.connections c ON c.user_id = a.user_id AND c.connection_id = a.connection_id
        LEFT JOIN portfolio.real_accounts r ON r.user_id = a.user_id AND r.real_account_id = a.real_account_id
        LEFT JOIN portfolio.snapshots s ON s.user_id = a.user_id AND s.account_id = a.account_id
            AND s.state = 'current'
        LEFT JOIN portfolio.snapshots q ON q.user_id = a.user_id AND q.account_id = a.account_id
            AND q.state = 'quarantined'
        LEFT JOIN portfolio.snapshots g ON g.user_id = a.user_id AND g.account_id = a.account_id
            AND g.state = 'incomplete'
        WHERE NOT a.gone""",
    ),
    "v_balances": (
        "Balances of present accounts per currency.",
        """SELECT b.user_id, b.account_id, b.currency, b.cash, b.available, b.buying_power, b.equity,
            b.maintenance_excess, b.margin_loan, h.as_of, h.synced_at
        FROM portfolio.balances b
        JOIN portfolio.accounts a ON a.user_id = b.user_id AND a.account_id = b.account_id AND NOT a.gone
        JOIN portfolio.balance_snapshots h ON h.user_id = b.user_id AND h.account_id = b.account_id""",
    ),
    "v_holdings": (
        "Holdings of present provider accounts, each apart.",
        f"""SELECT h.user_id, h.account_id, a.real_account_id, a.provider, i.key AS instrument_key,
            h.instrument_id, h.currency,
            i.symbol AS ticker, i.kind AS type, i.name, h.quantity, h.price, h.price_as_of, h.market_value,
            h.cost_basis, h.cash_equivalent, s.as_of, s.synced_at, {_INSTRUMENT} AS instrument
        FROM portfolio.holdings h
        JOIN portfolio.accounts a ON a.user_id = h.user_id AND a.account_id = h.account_id AND NOT a.gone
        JOIN portfolio.snapshots s ON {_CURRENT.format("h")}
        JOIN portfolio.instruments i ON i.instrument_id = h.instrument_id""",  # noqa: S608  constants of this module
    ),
    "v_positions": (
        "Consolidated positions.",
        f"""SELECT p.user_id, p.position_id, p.portfolio_id, p.instrument_key, p.currency, p.ticker, p.type,
            i.name, p.quantity, p.price, p.price_as_of, p.market_value, p.value_complete, p.cost_basis,
            p.cost_basis_complete, p.provider, p.account_id, p.account_ids, p.position_source,
            p.position_status, p.position_status = 'stale' AS stale,
            (SELECT min(s.as_of) FROM portfolio.snapshots s WHERE s.user_id = p.user_id
                AND s.account_id = ANY (p.account_ids) AND s.state = 'current') AS as_of,
            p.last_consolidation_at, coalesce(a.trading, false) AS trading,
            coalesce(a.realtime, false) AS realtime, {_INSTRUMENT} AS instrument,
            (SELECT json_agg(json_build_object('real_account_id', c.part->>'real_account_id',
                    'account_id', c.part->>'account_id', 'provider', c.part->>'provider',
                    'quantity', c.part->>'quantity', 'market_value', c.part->>'market_value',
                    'cost_basis', c.part->>'cost_basis', 'as_of', s.as_of, 'version', s.version,
                    'instrument_id', c.part->>'instrument_id', 'price', c.part->>'price',
                    'price_as_of', c.part->>'price_as_of', 'synced_at', s.synced_at,
                    'snapshot_id', s.snapshot_id, 'content_hash', s.content_hash)
                    ORDER BY c.place)
                FROM json_array_elements(p.contributions) WITH ORDINALITY AS c(part, place)
                JOIN portfolio.snapshots s ON s.user_id = p.user_id
                    AND s.account_id = (c.part->>'account_id')::uuid AND s.state = 'current') AS contributions,
            p.contributions AS parts, p.excluded
        FROM portfolio.positions p
        JOIN portfolio.instruments i ON i.instrument_id = p.instrument_id
        LEFT JOIN portfolio.accounts a ON a.user_id = p.user_id AND a.account_id = p.account_id""",  # noqa: S608  constants of this module
    ),
    "v_account_checks": (
        "The conservation check of each real account.",
        """SELECT user_id, real_account_id, account_id, outcome, reason, counted, expected, difference, currency,
            checked_at FROM portfolio.account_checks""",
    ),
    "v_sync_log": (
        "Sync runs.",
        """SELECT l.user_id, l.run_id, l.connection_id, l.provider, l.institution, l.kind, l.trigger, l.status,
            l.accounts, l.holdings, l.provider_calls, l.cost_amount, l.cost_currency, l.started_at, l.finished_at,
            l.error_code, l.error, l.unchanged, l.transactions, l.orders, l.covers_from, l.covers_through,
            coalesce(n.new_items, 0) AS new_items, coalesce(n.updated_items, 0) AS updated_items
        FROM portfolio.sync_log l
        LEFT JOIN portfolio.sync_counts n ON n.user_id = l.user_id AND n.run_id = l.run_id""",
    ),
    "v_transactions": (
        "What accounts did; what was retracted is not among it.",
        """SELECT t.user_id, t.transaction_id, t.account_id, a.connection_id, a.provider, a.institution,
            a.real_account_id, coalesce(r.counted_account_id = t.account_id, false) AS counted, t.external_id, t.type,
            t.raw_type, t.description, t.currency, t.amount, t.quantity, t.price, t.fee, t.instrument_key,
            t.instrument->>'symbol' AS symbol, t.instrument, t.traded_at, t.settlement_date, t.booked_on, t.pending,
            t.option_action, t.fx_rate, t.broker_reference, t.first_seen_at
        FROM portfolio.transactions t
        JOIN portfolio.accounts a ON a.user_id = t.user_id AND a.account_id = t.account_id
        LEFT JOIN portfolio.real_accounts r ON r.user_id = a.user_id AND r.real_account_id = a.real_account_id
        WHERE NOT t.removed""",
    ),
    # A gone account has no real account any more. Stable ids are comparable within a provider only.
    "v_duplicate_accounts": (
        "Accounts whose transactions and orders are another account's again.",
        """SELECT a.user_id, a.account_id
        FROM portfolio.accounts a
        JOIN portfolio.real_accounts r ON r.user_id = a.user_id AND r.real_account_id = a.real_account_id
        WHERE r.counted_account_id <> a.account_id
        UNION
        SELECT a.user_id, a.account_id
        FROM portfolio.accounts a
        JOIN portfolio.accounts p ON p.user_id = a.user_id AND NOT p.gone AND p.institution = a.institution
            AND CASE WHEN p.provider = a.provider AND p.stable_id IS NOT NULL AND a.stable_id IS NOT NULL
                THEN p.stable_id = a.stable_id ELSE p.mask = a.mask AND p.type = a.type END
        WHERE a.gone""",
    ),
    "v_transaction_coverage": (
        "The days up to the latest of which every account's transactions are known whole.",
        """SELECT DISTINCT ON (user_id, account_id) user_id, account_id, covers_from, covers_through
        FROM portfolio.transaction_coverage ORDER BY user_id, account_id, covers_through DESC""",
    ),
    "v_orders": (
        "Recent orders, as brokers report them.",
        """SELECT o.user_id, o.account_id, a.connection_id, a.provider, a.institution, o.broker_order_id, o.status,
            o.raw_status, o.side, o.instrument_key, o.instrument->>'symbol' AS symbol, o.instrument, o.order_type,
            o.time_in_force, o.quantity, o.filled_quantity, o.limit_price, o.stop_price, o.average_price, o.currency,
            o.placed_at, o.updated_at, o.executed_at, o.first_seen_at
        FROM portfolio.orders o
        JOIN portfolio.accounts a ON a.user_id = o.user_id AND a.account_id = o.account_id""",
    ),
    "v_balance_history": (
        "What each account was worth day by day, by its institution.",
        """SELECT user_id, account_id, day, total FROM portfolio.balance_history""",
    ),
    "v_performance": (
        "The provider's own rates of return of each account.",
        """SELECT user_id, account_id, currency, returns, as_of, synced_at FROM portfolio.performance""",
    ),
    "v_portfolio_history": (
        "What each portfolio was worth when it was last consolidated on a day.",
        """SELECT user_id, portfolio_id, day, currency, market_value, complete, at FROM portfolio.portfolio_history""",
    ),
    "v_portfolio_versions": (
        "How often each portfolio changed, and how fresh it is.",
        """SELECT v.user_id, v.portfolio_id, v.version, v.positions, v.changed_at,
            (SELECT max(s.synced_at) FROM portfolio.snapshots s WHERE s.user_id = v.user_id
                AND s.state = 'current') AS synced_at
        FROM portfolio.portfolio_versions v""",
    ),
    "v_real_accounts": (
        "Real accounts and the source that is counted for each.",
        """SELECT user_id, real_account_id, institution, members, counted_account_id, reason,
            stale, needs_decision, excluded, held_back_until, changed_at
        FROM portfolio.real_accounts""",
    ),
    "v_identity_evidence": (
        "Pairs of accounts that were compared.",
        """SELECT user_id, account_id, other_account_id, verdict, rule, score, reasons
        FROM portfolio.identity_evidence""",
    ),
    "v_identity_decisions": (
        "What people said of pairs of accounts.",
        """SELECT user_id, decision_id, account_id, other_account_id, verdict, decided_by, decided_at,
            decision_id = first_value(decision_id) OVER (PARTITION BY user_id, account_id, other_account_id
                ORDER BY decided_at DESC, decision_id DESC) AS holds
        FROM portfolio.identity_decisions""",
    ),
    "v_snapshot_judgements": (
        "What people said of quarantined snapshots.",
        """SELECT user_id, judgement_id, account_id, version, verdict, judged_by, judged_at
        FROM portfolio.snapshot_judgements""",
    ),
    "v_snapshots": (
        "Every complete snapshot seen lately.",
        f"""SELECT s.user_id, s.snapshot_id, s.account_id, s.version, s.content_hash, s.as_of, s.synced_at,
            s.holdings, s.value, s.value_currency, s.unpriced,
            CASE WHEN s.version = c.version THEN 'current' WHEN s.version = q.version THEN 'quarantined'
                WHEN (SELECT j.verdict FROM portfolio.snapshot_judgements j WHERE j.user_id = s.user_id
                    AND j.account_id = s.account_id AND j.version = s.version
                    ORDER BY j.judged_at DESC, j.judgement_id DESC LIMIT 1) = 'reject' THEN 'rejected'
                ELSE 'superseded' END AS state,
            CASE WHEN s.version = q.version THEN q.first_synced_at END AS first_synced_at,
            coalesce(CASE WHEN s.content_hash = c.content_hash THEN ({_HELD})
                WHEN s.payload IS NOT NULL THEN ({_PAYLOAD.format("s.payload")})
                WHEN s.content_hash = q.content_hash THEN ({_PAYLOAD.format("q.payload")})
                ELSE (SELECT ({_PAYLOAD.format("o.payload")}) FROM portfolio.sightings o
                    WHERE o.user_id = s.user_id AND o.account_id = s.account_id
                        AND o.content_hash = s.content_hash AND o.payload IS NOT NULL LIMIT 1) END,
                '[]') AS content
        FROM portfolio.sightings s
        LEFT JOIN portfolio.snapshots c ON c.user_id = s.user_id AND c.account_id = s.account_id
            AND c.state = 'current'
        LEFT JOIN portfolio.snapshots q ON q.user_id = s.user_id AND q.account_id = s.account_id
            AND q.state = 'quarantined'""",  # noqa: S608  constants of this module
    ),
    "v_source_switches": (
        "How the counted source of each real account changed.",
        """SELECT user_id, switch_id, real_account_id, at, from_account_id, to_account_id, reason
        FROM portfolio.source_switches""",
    ),
    "v_portfolios": (
        "Named portfolios.",
        """SELECT user_id, portfolio_id, name, account_ids, version, deleted, defined_at
        FROM portfolio.portfolios""",
    ),
    "v_consolidations": (
        "Consolidations on demand.",
        """SELECT user_id, request_id, portfolio_id, requested_by, requested_at, started_at, finished_at,
            positions, accounts, real_accounts, providers, changed, removed, breaks, version
        FROM portfolio.consolidations""",
    ),
}
