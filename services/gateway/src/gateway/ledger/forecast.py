"""What a month will cost, each part shown. Pure."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from gateway.guards.prices import CURRENCY, PriceList, Subscription
from gateway.ledger.subscriptions import month_of

_CENT = Decimal("0.0001")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refreshes:
    """What one provider's refreshes have cost this month, and what is still open."""

    charged: Decimal = Decimal(0)
    open: Decimal = Decimal(0)

    @property
    def so_far(self) -> Decimal:
        """Both together: what is open may yet be charged."""
        return self.charged + self.open


def ahead(spent: Decimal, now: datetime) -> Decimal:
    """What the rest of the month costs if it goes on as it has; the first day counts as a whole one."""
    begun = datetime.combine(month_of(now), datetime.min.time(), UTC)
    days = monthrange(begun.year, begun.month)[1] * _DAY
    passed = max(now - begun, _DAY)
    left = max(begun + days - now, timedelta(0))
    seconds = Decimal(int(left.total_seconds())) / Decimal(int(passed.total_seconds()))
    return (spent * seconds).quantize(_CENT, ROUND_HALF_EVEN)


def forecast(
    refreshes: Mapping[str, Refreshes], billed: Mapping[str, int], prices: PriceList, now: datetime
) -> dict[str, object]:
    """The month's forecast, ready to be answered."""
    rows = [_refresh_row(provider, found, prices, now) for provider, found in sorted(refreshes.items())]
    subscriptions = [
        _subscription_row(provider, terms, billed.get(provider, 0))
        for provider, terms in sorted(prices.subscriptions.items())
    ]
    total = sum((Decimal(str(row["forecast"])) for row in [*rows, *subscriptions]), Decimal(0))
    month: date = month_of(now)
    return {
        "month": f"{month:%Y-%m}",
        "as_of": now.isoformat(),
        "currency": CURRENCY,
        "refreshes": rows,
        "subscriptions": subscriptions,
        "total": plain(total),
    }


def _refresh_row(provider: str, found: Refreshes, prices: PriceList, now: datetime) -> dict[str, object]:
    rest = ahead(found.so_far, now)
    terms = prices.refreshes.get(provider)
    return {
        "provider": provider,
        "charged": plain(found.charged),
        "open": plain(found.open),
        "run_rate_rest_of_month": plain(rest),
        "forecast": plain(found.so_far + rest),
        "estimated": terms.estimated if terms else True,
    }


def _subscription_row(provider: str, terms: Subscription, count: int) -> dict[str, object]:
    return {
        "provider": provider,
        "per": terms.basis.value,
        "count": count,
        "price": plain(terms.price),
        "forecast": plain(terms.price * count),
        "estimated": terms.estimated,
    }


def plain(number: Decimal) -> str:
    """An amount as text: at least cents, never an exponent."""
    exact = number.normalize()
    return f"{exact:f}" if -exact.as_tuple().exponent > 2 else f"{number:.2f}"  # type: ignore[operator]  # finite
