"""Balance history and rates of return in our terms. Pure."""

from datetime import date
from decimal import Decimal

from contracts.accounts import BalancePoint, PeriodReturn
from contracts.connectors import HistoryRead
from contracts.money import InexactNumberError, amount, quantity
from snaptrade_connector import wire
from snaptrade_connector.conservation import whole
from snaptrade_connector.units import HUNDREDTH, currency_code, day


def history(found: wire.BalanceHistory, rates: wire.ReturnRates | None) -> HistoryRead:
    """The series by day, oldest first, and the rates as fractions; what has no number is left out."""
    days: dict[date, Decimal] = {}
    for point in found.history:
        on, total = day(point.date), _amount(found.currency, point.total_value)
        if on is not None and total is not None:
            days[on] = total
    return HistoryRead(
        currency=currency_code(found.currency) if found.currency else None,
        points=[BalancePoint(day=on, total=days[on]) for on in sorted(days)],
        returns=_returns(rates),
    )


def _returns(rates: wire.ReturnRates | None) -> list[PeriodReturn]:
    found = {}
    for row in rates.data if rates else []:
        rate = _rate(row.return_percent)
        if row.timeframe and rate is not None:
            found[row.timeframe] = PeriodReturn(period=row.timeframe, rate=rate)
    return list(found.values())


def _rate(percent: Decimal | None) -> Decimal | None:
    try:
        return None if percent is None else quantity(percent * HUNDREDTH)
    except InexactNumberError:
        return None


def _amount(code: str | None, value: Decimal | None) -> Decimal | None:
    try:
        return None if value is None else amount(whole(code, value) if code else value)
    except InexactNumberError:
        return None
