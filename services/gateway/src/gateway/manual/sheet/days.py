"""Dates as people and brokers write them; day and month are never guessed. Pure."""

import re
from datetime import UTC, date, datetime, time, timedelta

US, EU = "us", "eu"
EARLIEST = 1900
_ISO = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})")
_NUMBERS = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4})")
_NAMED = re.compile(r"(?:([0-9]{1,2})[- ])?([A-Za-z]{3,9})\.?[- ](?:([0-9]{1,2}),?[- ])?([0-9]{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class DayError(ValueError):
    """A cell that is no date; the message is for people."""


def order(text: str) -> str | None:
    """Whether this proves the month first (``us``) or the day (``eu``); ``?`` where it could be either, else None."""
    found = _NUMBERS.fullmatch(text.strip())
    if found is None or found[2] == ".":
        return None
    first, second = int(found[1]), int(found[3])
    if first == second:
        return None
    if first > 12:
        return EU
    return US if second > 12 else "?"


def moment(text: str, first: str | None, now: datetime) -> datetime:
    """The time a cell names, midnight UTC where it names a day; ``first`` is what stands first in ``02/03/2026``.

    Raises:
        DayError: it is no date, in a form that is not known, or not in the past.
    """
    found = _time(text.strip(), first)
    if found.year < EARLIEST or found > now + timedelta(days=1):
        raise DayError(f"A date of a price lies between {EARLIEST} and today.")
    return found


def _time(text: str, first: str | None) -> datetime:
    try:
        day = _day(text, first)
        if day is not None:
            return datetime.combine(day, time(), UTC)
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DayError("This is not a date, such as 2026-11-20.") from error


def _day(text: str, first: str | None) -> date | None:
    if found := _ISO.fullmatch(text):
        return date(int(found[1]), int(found[2]), int(found[3]))
    if found := _NUMBERS.fullmatch(text):
        one, two, year = int(found[1]), int(found[3]), int(found[4])
        day_first = found[2] == "." or first == EU
        return date(year, two, one) if day_first else date(year, one, two)
    if found := _NAMED.fullmatch(text):
        day = found[1] or found[3]
        if day and not (found[1] and found[3]):
            return date(int(found[4]), _MONTHS.index(found[2][:3].lower()) + 1, int(day))
    return None
