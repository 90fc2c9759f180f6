"""Verdicts as people see them: one refresh, several, or an error. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any
from uuid import UUID

from contracts.errors import MEANING, ErrorCode
from gateway.guards.prices import CURRENCY, Terms
from gateway.guards.refresh import Granted, Reason, Refused, Verdict
from gateway.refreshing.facts import Known, Obstacle
from gateway.refusals import refusal
from service_kit.api_errors import ApiError

OVERRIDE = "confirm_cost"
QUEUED, REFUSED, NEEDS_CONFIRMATION = "queued", "refused", "needs_confirmation"
MESSAGES = {
    Reason.TOO_SOON: "The last refresh of this connection is too recent.",
    Reason.JUST_REFRESHED: "This connection was refreshed a moment ago.",
    Reason.USER_BUDGET: "Your budget for paid refreshes is spent for today.",
    Reason.GLOBAL_BUDGET: "Today's budget for paid refreshes is spent.",
}
CODES = {
    Reason.TOO_SOON: ErrorCode.REFRESH_TOO_SOON,
    Reason.JUST_REFRESHED: ErrorCode.REFRESH_TOO_SOON,
    Reason.USER_BUDGET: ErrorCode.BUDGET_EXHAUSTED,
    Reason.GLOBAL_BUDGET: ErrorCode.BUDGET_EXHAUSTED,
}


@dataclass(frozen=True, slots=True)
class Decided:
    """One connection and what was decided about it."""

    known: Known
    terms: Terms
    verdict: Verdict | Obstacle
    charge_id: UUID | None = None

    @property
    def status(self) -> str:
        """``queued``, ``refused``, or ``needs_confirmation`` where confirming the cost would help."""
        match self.verdict:
            case Granted():
                return QUEUED
            case Refused(override=True):
                return NEEDS_CONFIRMATION
            case _:
                return REFUSED

    @property
    def result(self) -> str:
        """The same for counters: why not, or whether it costs."""
        if isinstance(self.verdict, Granted):
            return "read_again" if self.verdict.price is None else QUEUED
        return str(self.verdict.reason)


def item(decided: Decided) -> dict[str, Any]:
    """A decision as it is answered."""
    known, verdict = decided.known, decided.verdict
    shown = {
        "connection_id": str(known.connection_id),
        "provider": known.provider,
        "institution": known.institution,
        "institution_name": known.institution_name,
        "status": decided.status,
        "code": None,
        "reason": None,
        **priced(decided.terms),
        "override": None,
        "retry_at": None,
        "next_refresh_at": None,
        "charge_id": None if decided.charge_id is None else str(decided.charge_id),
    }
    match verdict:
        case Granted(next_refresh_at=free_at):
            return shown | {"next_refresh_at": free_at.isoformat()}
        case Refused():
            return shown | _refused(verdict) | {"code": CODES[verdict.reason]}
        case Obstacle():
            return shown | {"code": verdict.code, "reason": verdict.reason}


def everything(decided: Sequence[Decided]) -> dict[str, Any]:
    """All decisions, and what they add up to."""
    by_status = {
        status: [one for one in decided if one.status == status]
        for status in (QUEUED, REFUSED, NEEDS_CONFIRMATION)
    }
    totals: dict[str, Any] = {status: len(found) for status, found in by_status.items()}
    asked = [*by_status[QUEUED], *by_status[NEEDS_CONFIRMATION]]
    totals |= {
        "price": _sum(by_status[QUEUED]),
        "price_to_confirm": _sum(by_status[NEEDS_CONFIRMATION]),
        "currency": CURRENCY,
        "estimated": any(one.terms.estimated for one in asked),
    }
    return {"items": [item(one) for one in decided], "totals": totals}


def refused(decided: Decided, now: datetime) -> ApiError:
    """A decision against a single refresh, as the error it is answered with."""
    verdict, connection = decided.verdict, str(decided.known.connection_id)
    if isinstance(verdict, Refused):
        details = {"connection_id": connection, **priced(decided.terms), **_refused(verdict)}
        wait = max(1, ceil((verdict.retry_at - now).total_seconds()))
        headers = {"Retry-After": str(wait)}
        return refusal(CODES[verdict.reason], MESSAGES[verdict.reason], details=details, headers=headers)
    if isinstance(verdict, Obstacle):
        details = {"connection_id": connection, "reason": verdict.reason, "provider": decided.known.provider}
        if verdict.code is ErrorCode.CONNECTION_BROKEN:
            details["repair"] = f"/v1/connections/{connection}/reconnect"
        return refusal(verdict.code, MEANING[verdict.code].meaning, details=details)
    raise TypeError("a refresh that was granted is no error")


def priced(terms: Terms) -> dict[str, Any]:
    """What a refresh costs."""
    price = terms.price or Decimal(0)
    return {
        "paid": price > 0,
        "price": _plain(price),
        "currency": CURRENCY,
        "estimated": terms.estimated,
    }


def _refused(verdict: Refused) -> dict[str, Any]:
    return {
        "reason": verdict.reason,
        "override": OVERRIDE if verdict.override else None,
        "retry_at": verdict.retry_at.isoformat(),
        "next_refresh_at": verdict.next_refresh_at.isoformat(),
    }


def _sum(decided: Sequence[Decided]) -> str:
    return _plain(sum((one.terms.price or Decimal(0) for one in decided), Decimal(0)))


def _plain(number: Decimal) -> str:
    """A price as text: at least cents, never an exponent."""
    exact = number.normalize()
    return f"{exact:f}" if -exact.as_tuple().exponent > 2 else f"{number:.2f}"  # type: ignore[operator]  # finite
