"""What an account was worth day by day, made up so that it ends at what the last sync saw. Pure."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from provider_sandbox.snaptrade.numbers import moment, number
from provider_sandbox.snaptrade.seen import Seen

DAYS = 365
_PERIODS = {"1D": 1, "1W": 7, "1M": 30, "1Y": DAYS, "ALL": DAYS}
_CENT = Decimal("0.01")


def history(seen: Seen, connected: datetime | None) -> dict[str, Any]:
    """Return an `AccountValueHistoryResponse`: the year before the last sync; empty before the first."""
    ends = seen.at.astimezone(UTC).date() - timedelta(days=1)
    days = [ends - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)] if connected else []
    rows = [{"date": day.isoformat(), "total_value": str(_total(seen, day, ends))} for day in days]
    return {"history": rows, "currency": seen.account.currency}


def rates(seen: Seen, connected: datetime, wanted: str) -> dict[str, Any]:
    """Return a `RateOfReturnResponse` for a comma list of periods, or for all."""
    ends = connected.astimezone(UTC).date()
    names = [name for name in wanted.upper().split(",") if name] or [*_PERIODS, "YTD"]
    spans = _PERIODS | {"YTD": ends.timetuple().tm_yday}
    return {
        "data": [
            {
                "timeframe": name,
                "return_percent": number(_change(seen, ends, spans[name])),
                "created_date": moment(connected),
            }
            for name in names
            if name in spans
        ]
    }


def _total(seen: Seen, day: date, ends: date) -> Decimal:
    """The last day is the sync's own total; earlier ones differ by up to a fifth."""
    if day == ends:
        return seen.total.quantize(_CENT)
    return (seen.total * _share(seen, day)).quantize(_CENT)


def _share(seen: Seen, day: date) -> Decimal:
    digest = sha256(f"{seen.account.key}/{day.isoformat()}".encode()).digest()
    return Decimal(80 + digest[0] % 20) / 100


def _change(seen: Seen, ends: date, days: int) -> Decimal:
    before = _share(seen, ends - timedelta(days=days))
    return ((1 / before - 1) * 100).quantize(_CENT)
