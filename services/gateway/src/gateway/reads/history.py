"""What a portfolio was worth day by day: our own totals, carried forward over days on which nothing was computed.

Days before the first total are not shown. In a base currency each day is converted at the newest rates known then;
each amount is rounded to ten places, halves away from zero, and what has no rate is listed and not summed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import reduce
from itertools import groupby
from typing import Any

from gateway.rates.port import Rate, RateSource
from gateway.reads.pages import Answer, answer
from gateway.reads.view import ITSELF, wanted_base
from persistence.database import Database

DAY = timedelta(days=1)
TENTH_PLACE = Decimal("1e-10")
# An amount has 28 digits and a rate may have many: nothing but the tenth place is ever rounded.
_EXACT = Context(prec=200, rounding=ROUND_HALF_UP)
# The last day before the range is what its first days are carried from.
_ROWS = """
SELECT h.day, h.currency, h.market_value, h.complete FROM portfolio.v_portfolio_history h
WHERE h.user_id = %(user)s AND h.portfolio_id = %(portfolio)s AND h.day <= %(end)s
    AND h.day >= coalesce((SELECT max(e.day) FROM portfolio.v_portfolio_history e WHERE e.user_id = %(user)s
        AND e.portfolio_id = %(portfolio)s AND e.day <= %(start)s), %(start)s)
ORDER BY h.day, h.currency
"""


@dataclass(frozen=True, slots=True)
class Worth:
    """What was held in one currency."""

    currency: str
    market_value: Decimal
    complete: bool


@dataclass(frozen=True, slots=True)
class Point:
    """A day and its totals, which were computed on ``computed_on``."""

    day: date
    computed_on: date
    totals: tuple[Worth, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The days asked for, both included."""

    start: date
    end: date


def filled(known: Mapping[date, tuple[Worth, ...]], days: Range) -> list[Point]:
    """A point for every day of the range from the first known total on; gaps carry the last one."""
    computed = max((day for day in known if day < days.start), default=None)
    points = []
    for n in range((days.end - days.start).days + 1):
        day = days.start + n * DAY
        computed = day if day in known else computed
        if computed is not None:
            points.append(Point(day, computed, known[computed]))
    return points


async def history(
    database: Database,
    rates: RateSource,
    user_id: str,
    portfolio: str,
    *,
    days: Range,
    base: str | None,
    now: datetime,
) -> Answer:
    """The portfolio's daily totals.

    Raises:
        ApiError: 422, no such base currency is known.
    """
    values = {"user": user_id, "portfolio": portfolio, "start": days.start, "end": days.end}
    async with database.transaction(user_id) as conn:
        rows = await (await conn.execute(_ROWS, values)).fetchall()
    points = filled(_by_day(rows), days)
    shown = [_shown(point) for point in points]
    if base is not None:
        # A portfolio without a past still says whether the currency is one.
        await wanted_base(rates, base, set(), now)
        for point, row in zip(points, shown, strict=True):
            row["base"] = await _in_base(rates, point, base, now)
    body = {"portfolio_id": portfolio, "start_date": days.start, "end_date": days.end, "points": shown}
    return answer(json.dumps(body, default=str, separators=(",", ":")))


async def _in_base(rates: RateSource, point: Point, base: str, now: datetime) -> dict[str, Any]:
    """A day's totals in the base, at the newest rates known when that day ended."""
    at = min(now, datetime.combine(point.day + DAY, time(), UTC))
    known = (await wanted_base(rates, base, {one.currency for one in point.totals}, at)).rates
    return converted(point.totals, known, base)


def converted(totals: Sequence[Worth], rates: Mapping[str, Rate], base: str) -> dict[str, Any]:
    """The sum of what has a rate, the rates used, and the currencies without one."""
    rated = [one for one in totals if one.currency in rates]
    parts = [
        _EXACT.quantize(_EXACT.multiply(one.market_value, rates[one.currency].value), TENTH_PLACE)
        for one in rated
    ]
    missing = [one.currency for one in totals if one.currency not in rates]
    return {
        "currency": base,
        "market_value": plain(reduce(_EXACT.add, parts, Decimal(0))),
        "complete": not missing and all(one.complete for one in totals),
        "rates": [_rate(one.currency, rates[one.currency]) for one in rated],
        "without_rate": missing,
    }


def plain(value: Decimal) -> str:
    """A decimal as text, without an exponent and without zeros behind the point that say nothing."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text


def _rate(currency: str, rate: Rate) -> dict[str, Any]:
    as_of = None if rate.source == ITSELF else rate.as_of.isoformat()
    return {"currency": currency, "rate": format(rate.value, "f"), "as_of": as_of, "source": rate.source}


def _by_day(rows: Iterable[tuple[date, str, Decimal, bool]]) -> dict[date, tuple[Worth, ...]]:
    return {
        day: tuple(Worth(currency, value, complete) for _, currency, value, complete in found)
        for day, found in groupby(rows, key=lambda row: row[0])
    }


def _shown(point: Point) -> dict[str, Any]:
    totals = [
        {"currency": one.currency, "market_value": plain(one.market_value), "complete": one.complete}
        for one in point.totals
    ]
    carried = point.computed_on != point.day
    return {"day": point.day, "carried": carried, "computed_on": point.computed_on, "totals": totals}
