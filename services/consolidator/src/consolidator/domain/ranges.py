"""Ranges of days: those that are known whole, and those that were swept. Pure; no order matters."""

from collections.abc import Iterable
from datetime import date, timedelta

from contracts.transactions import Sweep

DAY = timedelta(days=1)
Range = tuple[date, date]
"""The first and the last day."""


def united(ranges: Iterable[Range]) -> list[Range]:
    """The same days in as few ranges as possible, rising; two that touch become one."""
    found: list[Range] = []
    for first, last in sorted(one for one in ranges if one[0] <= one[1]):
        if found and first <= _after(found[-1][1]):
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def needed(sweeps: Iterable[Sweep]) -> set[Sweep]:
    """The sweeps without those that another one makes needless: a newer one of at least the same days."""
    found: list[Sweep] = []
    # What makes another one needless comes before it.
    order = sorted(set(sweeps), key=lambda one: (-one.since_version, one.from_date, -one.through.toordinal()))
    for one in order:
        if one.from_date <= one.through and not any(_covers(other, one) for other in found):
            found.append(one)
    return set(found)


def _covers(newer: Sweep, older: Sweep) -> bool:
    return newer.from_date <= older.from_date and older.through <= newer.through


def _after(day: date) -> date:
    return day if day == date.max else day + DAY
