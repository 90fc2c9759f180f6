"""Sums as SQL: numbers as text, totals per currency, and the same in a base currency.

A sum over values of which some are unknown is marked incomplete; currencies are never added up but through a rate,
and what has no rate is listed apart. Amounts in a base currency are each rounded to ten decimal places, halves away
from zero, and then added exactly: the shown parts always add up to the shown sum.
"""

KNOWN = "coalesce(trim_scale(sum({value}))::text, '0')"
"""The sum of the known values, as text."""
RATES = """rates AS (SELECT r.currency, r.rate, r.as_of, r.source
    FROM json_to_recordset(%(rates)s::json) AS r(currency text, rate numeric, as_of text, source text))"""
"""The rates of a view as a relation."""
CONVERTED = "round({value} * r.rate, 10)"
"""An amount in the base currency; null where there is no rate, or no amount."""
IN_BASE = """(SELECT json_build_object('currency', %(base)s::text,
    'market_value', coalesce(trim_scale(sum(round(t.value * r.rate, 10)))::text, '0'),
    'complete', coalesce(bool_and(t.complete AND r.rate IS NOT NULL), true),
    'rates', coalesce(json_agg(json_build_object('currency', t.currency, 'rate', r.rate::text, 'as_of', r.as_of,
        'source', r.source, 'market_value', trim_scale(t.value)::text,
        'in_base', trim_scale(round(t.value * r.rate, 10))::text) ORDER BY t.currency)
        FILTER (WHERE r.rate IS NOT NULL), '[]'),
    'without_rate', coalesce(json_agg(json_build_object('currency', t.currency,
        'market_value', trim_scale(t.value)::text, 'complete', t.complete, 'positions', t.positions)
        ORDER BY t.currency) FILTER (WHERE r.rate IS NULL), '[]'),
    'hint', CASE WHEN bool_or(r.rate IS NULL) THEN %(hint)s::text END)
    FROM {totals} t LEFT JOIN rates r ON r.currency = t.currency)"""
"""The base block over a relation of currency, value, complete and positions; needs ``RATES`` beside it."""
PARTS = "p.parts"
"""What each counted source contributes to a position of ``v_positions``, as JSON."""
CURRENCIES = """
SELECT array_agg(DISTINCT currency) FROM portfolio.v_positions WHERE user_id = %s AND portfolio_id = %s
"""
"""The currencies that a portfolio's positions are in."""
