"""When the exchanges of the United States are open. Pure; a notice is made of it, never a refusal.

The rule of the New York Stock Exchange: weekdays 9:30 to 16:00 Eastern, closed on ten holidays. One on a Saturday is
kept on the Friday before (New Year's Day is not kept then), one on a Sunday on the Monday after. The day before
Independence Day, the day after Thanksgiving and Christmas Eve end at 13:00 where they are trading days. Early and late
sessions are from 4:00 and until 20:00, 17:00 on short days. Days the exchanges close for once are not known here.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from contracts.trading import OrderRequest
from gateway.trading.values import Finding, warning

OPENS, CLOSES, CLOSES_EARLY = time(9, 30), time(16), time(13)
EARLY_SESSION, LATE_SESSION, LATE_AFTER_EARLY = time(4), time(20), time(17)
SATURDAY, SUNDAY = 5, 6


class Session(StrEnum):
    """What goes on at a moment."""

    REGULAR = "regular"
    EXTENDED = "extended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Market:
    """The market at a moment; ``opens_at`` is when regular trading begins next, None while it runs."""

    session: Session
    opens_at: datetime | None


def market(now: datetime) -> Market:
    """How the market stands."""
    local = now.astimezone(_eastern())
    if session(local) is Session.REGULAR:
        return Market(Session.REGULAR, None)
    day = local.date() if local.time() < OPENS else local.date() + timedelta(days=1)
    while not is_trading_day(day):
        day += timedelta(days=1)
    return Market(session(local), datetime.combine(day, OPENS, _eastern()).astimezone(UTC))


def session(local: datetime) -> Session:
    """The session at a moment of Eastern time."""
    day, moment = local.date(), local.time()
    short = day in early_closes(day.year)
    ends, closes = (LATE_AFTER_EARLY, CLOSES_EARLY) if short else (LATE_SESSION, CLOSES)
    if not is_trading_day(day) or not EARLY_SESSION <= moment < ends:
        return Session.CLOSED
    return Session.REGULAR if OPENS <= moment < closes else Session.EXTENDED


def notice(order: OrderRequest, now: datetime) -> Finding | None:
    """What a user should know of the time they order at; nothing where the symbol is of another country."""
    if "." in order.symbol and len(order.symbol.rpartition(".")[2]) > 1 and not order.legs:
        return None
    found = market(now)
    if found.session is Session.REGULAR or (order.extended_hours and found.session is Session.EXTENDED):
        return None
    details = {
        "session": found.session.value,
        "opens_at": None if found.opens_at is None else found.opens_at.isoformat(),
    }
    message = "The market is closed: the order waits until it opens, or the broker refuses it."
    return warning("hours", "market_closed", message, details)


def is_trading_day(day: date) -> bool:
    """Whether the exchanges open on a day."""
    return day.weekday() < SATURDAY and day not in holidays(day.year)


@lru_cache(maxsize=16)
def holidays(year: int) -> frozenset[date]:
    """The days of a year on which the exchanges stay closed."""
    fixed = [_kept(date(year, month, day)) for month, day in ((6, 19), (7, 4), (12, 25))]
    new_year = date(year, 1, 1)
    if new_year.weekday() != SATURDAY:
        fixed.append(_kept(new_year))
    moving = [
        _nth(year, 1, 0, 3),
        _nth(year, 2, 0, 3),
        easter(year) - timedelta(days=2),
        _memorial(year),
        _nth(year, 9, 0, 1),
        thanksgiving(year),
    ]
    return frozenset([*fixed, *moving])


@lru_cache(maxsize=16)
def early_closes(year: int) -> frozenset[date]:
    """The trading days of a year that end at 13:00."""
    days = (date(year, 7, 3), thanksgiving(year) + timedelta(days=1), date(year, 12, 24))
    return frozenset(day for day in days if is_trading_day(day))


def thanksgiving(year: int) -> date:
    """The fourth Thursday of November."""
    return _nth(year, 11, 3, 4)


def easter(year: int) -> date:
    """Easter Sunday, by the Gregorian rule in the form of Butcher and Meeus."""
    century, rest = divmod(year, 100)
    golden = year % 19
    skipped, quarters = divmod(century, 4)
    corrected = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - skipped - corrected + 15) % 30
    leaps, within = divmod(rest, 4)
    weekday = (32 + 2 * quarters + 2 * leaps - epact - within) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _nth(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def _memorial(year: int) -> date:
    """The last Monday of May."""
    last = date(year, 5, 31)
    return last - timedelta(days=last.weekday())


def _kept(day: date) -> date:
    shift = {SATURDAY: -1, SUNDAY: 1}.get(day.weekday(), 0)
    return day + timedelta(days=shift)


@lru_cache(maxsize=1)
def _eastern() -> ZoneInfo:
    return ZoneInfo("America/New_York")
