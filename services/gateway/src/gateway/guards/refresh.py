"""May this connection be refreshed now, and at what price? Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from gateway.guards.budget import Limits, Spent, exhausted, next_day
from gateway.guards.prices import SHORTEST_GAP, Terms


class Reason(StrEnum):
    """Why not."""

    TOO_SOON = "too_soon"
    """Within the provider's interval; where the terms have an override, confirming the cost helps."""
    JUST_REFRESHED = "just_refreshed"
    """Within the shortest gap: nothing helps but waiting."""
    USER_BUDGET = "user_budget"
    GLOBAL_BUDGET = "global_budget"


@dataclass(frozen=True, slots=True)
class Past:
    """A connection's earlier refreshes.

    ``paid_at`` is the last that was, or may have been, paid for; ``tried_at`` the last whatever became of it;
    ``read_at`` the last time it was read again without charge.
    """

    paid_at: datetime | None = None
    tried_at: datetime | None = None
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """It may. ``price`` is None where nothing is asked of the provider but what it has."""

    price: Decimal | None
    next_refresh_at: datetime
    overrode: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not.

    ``retry_at`` is when this very request would pass, ``next_refresh_at`` when one without a confirmation would;
    ``override`` whether confirming the cost helps now.
    """

    reason: Reason
    retry_at: datetime
    next_refresh_at: datetime
    override: bool = False


Verdict = Granted | Refused


def decide(
    terms: Terms, past: Past, spent: Spent, limits: Limits, now: datetime, *, confirmed: bool
) -> Verdict:
    """Decide one refresh: first the intervals, then the budgets."""
    verdict = in_time(terms, past, now, confirmed=confirmed)
    if isinstance(verdict, Refused):
        return verdict
    return within_budget(verdict, past, terms, spent, limits, now=now)


def in_time(terms: Terms, past: Past, now: datetime, *, confirmed: bool) -> Verdict:
    """What the intervals say, without a look at any budget."""
    free_at, gap_ends = free_from(terms, past) or now, _gap_ends(past) or now
    overrides = confirmed and terms.override
    if now < free_at and not overrides:
        retry_at = max(free_at, gap_ends)
        return Refused(Reason.TOO_SOON, retry_at, retry_at, override=terms.override)
    if now < gap_ends:
        return Refused(Reason.JUST_REFRESHED, gap_ends, max(free_at, gap_ends))
    return Granted(terms.price, now + terms.every, overrode=now < free_at)


def within_budget(
    granted: Granted, past: Past, terms: Terms, spent: Spent, limits: Limits, *, now: datetime
) -> Verdict:
    """What the budgets say to what the intervals allow."""
    short = None if granted.price is None else exhausted(granted.price, spent, limits)
    if short is None:
        return granted
    tomorrow = next_day(now)
    free_at = free_from(terms, past)
    return Refused(Reason(short.value), tomorrow, max(tomorrow, free_at or tomorrow))


def free_from(terms: Terms, past: Past) -> datetime | None:
    """From when on no confirmation is needed; None where that is always so."""
    last = past.paid_at if terms.price is not None else _latest(past.paid_at, past.read_at)
    return None if last is None else last + terms.every


def _gap_ends(past: Past) -> datetime | None:
    last = _latest(past.tried_at, past.paid_at, past.read_at)
    return None if last is None else last + SHORTEST_GAP


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
