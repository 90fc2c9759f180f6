"""Fingerprints of transactions: what an account did tells it apart more lastingly than what it holds."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

_CENT = Decimal("0.01")
_FINEST = Decimal("0.0001")
ZERO = Decimal(0)


class Activity(NamedTuple):
    """The days (as ordinals, rising) on which each thing was done, and the first and the last day of all."""

    days: dict[str, tuple[int, ...]]
    first: int
    last: int


class Shared(NamedTuple):
    """``least`` transactions on the side with fewer, in the time both cover; ``share`` of them are on both."""

    share: Decimal
    least: int


def fingerprint(day: date, amount: Decimal | None, quantity: Decimal | None) -> str | None:
    """A short text by which one transaction is recognised at two providers.

    It begins with the day; providers date one transaction some days apart (trade, settlement), so days are
    compared with a tolerance. Instruments are left out because providers name them differently.

    Args:
        day: of the trade, else of the settlement.
        amount: its effect on cash, positive = cash in.
        quantity: of the instrument; a missing one and zero are the same.

    Returns:
        ``None`` for what many accounts do on the same day: nothing in numbers, or a standing order of whole
        units of currency.
    """
    cash = (amount or ZERO).quantize(_CENT)
    units = abs(quantity or ZERO).quantize(_FINEST)
    if not units and cash == cash.to_integral_value():
        return None
    digest = blake2b(f"{cash:f}|{units:f}".encode(), digest_size=6).hexdigest()
    return f"{day.isoformat()}:{digest}"


def activity(fingerprints: Iterable[str]) -> Activity | None:
    """What an account did; ``None`` where nothing is known of it."""
    days: dict[str, list[int]] = {}
    for one in fingerprints:
        day, _, digest = one.partition(":")
        days.setdefault(digest, []).append(date.fromisoformat(day).toordinal())
    if not days:
        return None
    ordered = {digest: tuple(sorted(found)) for digest, found in days.items()}
    return Activity(
        days=ordered,
        first=min(found[0] for found in ordered.values()),
        last=max(found[-1] for found in ordered.values()),
    )


def shared(one: Activity, other: Activity, tolerance: int) -> Shared | None:
    """How much of what both could have seen both did see; ``None`` where they cover no time together."""
    first, last = max(one.first, other.first), min(one.last, other.last)
    least = min(_count(one, first, last), _count(other, first, last))
    if not least:
        return None
    # A transaction near the end of the common time may have its partner just outside it, on either side.
    matched = max(_found(one, other, first, last, tolerance), _found(other, one, first, last, tolerance))
    return Shared(share=Decimal(min(matched, least)) / least, least=least)


def _found(source: Activity, target: Activity, first: int, last: int, tolerance: int) -> int:
    """How many of one side's transactions of that time are on the other side."""
    return sum(
        _matched([day for day in days if first <= day <= last], target.days[digest], tolerance)
        for digest, days in source.days.items()
        if digest in target.days
    )


def _count(side: Activity, first: int, last: int) -> int:
    return sum(first <= day <= last for days in side.days.values() for day in days)


def _matched(mine: list[int], theirs: tuple[int, ...], tolerance: int) -> int:
    """How many days of one rising list have their own partner in the other."""
    found, place = 0, 0
    for day in mine:
        while place < len(theirs) and theirs[place] < day - tolerance:
            place += 1
        if place < len(theirs) and theirs[place] <= day + tolerance:
            found += 1
            place += 1
    return found
