"""Which facts users see in their stream, under which name, and what of each. Pure.

Ids are ours; a provider's own ids, texts of its errors and secrets are never part of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from contracts.envelope import Received
from contracts.messages import (
    AccountBreakFound,
    AccountDecisionNeeded,
    ConnectionLinked,
    ConnectionStatusChanged,
    PositionsConsolidated,
    RefreshSettled,
    SyncFinished,
    SyncProgressed,
    SyncStarted,
)
from contracts.money import Money

RESET = "reset"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one user's stream; ``data`` is ready for JSON."""

    user_id: str
    event_id: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of event: its name, the members of the fact that are shown, and what it tells."""

    name: str
    members: tuple[str, ...]
    meaning: str


KINDS: dict[type, Kind] = {
    ConnectionLinked: Kind(
        "connection.linked",
        (
            "connection_id",
            "provider",
            "institution",
            "institution_name",
            "connection_type",
            "link_session_id",
            "linked_at",
        ),
        "A connection was made, or repaired.",
    ),
    ConnectionStatusChanged: Kind(
        "connection.status_changed",
        ("connection_id", "provider", "status", "reason", "provider_code", "repair_by", "changed_at"),
        "A connection's state moved; `repair_by` is when it will end unless the user renews it.",
    ),
    SyncStarted: Kind(
        "sync.started",
        ("connection_id", "provider", "institution", "run_id", "kind", "trigger", "started_at"),
        "A sync run began.",
    ),
    SyncProgressed: Kind(
        "sync.progressed",
        ("connection_id", "provider", "run_id", "stream", "done", "total", "at"),
        "How far a long sync run has come.",
    ),
    SyncFinished: Kind(
        "sync.finished",
        (
            "connection_id",
            "provider",
            "institution",
            "run_id",
            "kind",
            "trigger",
            "status",
            "accounts",
            "unchanged",
            "holdings",
            "transactions",
            "orders",
            "covers_from",
            "covers_through",
            "started_at",
            "finished_at",
            "error_code",
        ),
        "A sync run ended.",
    ),
    RefreshSettled: Kind(
        "refresh.settled",
        ("connection_id", "provider", "charge_id", "outcome", "error_code", "settled_at"),
        "What became of a refresh that was ordered.",
    ),
    PositionsConsolidated: Kind(
        "positions.consolidated",
        ("portfolio_id", "version", "positions", "changed", "removed", "totals", "breaks", "consolidated_at"),
        "A portfolio's positions changed; read them again.",
    ),
    AccountDecisionNeeded: Kind(
        "account.decision_needed",
        ("account_ids", "score"),
        "Two accounts may be one; somebody must say.",
    ),
    AccountBreakFound: Kind(
        "account.break_found",
        ("real_account_id", "account_id", "expected", "difference"),
        "What is held does not add up to the provider's own total.",
    ),
}
"""Fact → what is shown of it; facts that are not here are not shown."""


def shown(fact: Received) -> Event | None:
    """The event that a fact is in its user's stream; None for one that nobody watches."""
    kind = KINDS.get(type(fact.message))
    if kind is None:
        return None
    message: Any = fact.message
    data = {name: _plain(getattr(message, name)) for name in kind.members}
    return Event(message.user_id, fact.id, kind.name, data)


def _plain(value: object) -> Any:
    """A member as JSON has it: decimals and times as text, records as objects."""
    match value:
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return value.isoformat()
        case list():
            return [_plain(one) for one in value]
        case Money():
            return {"amount": _plain(value.amount), "currency": value.currency}
        case str() | int() | None:
            return value
        case _:
            return _record(value)


def _record(value: object) -> dict[str, Any]:
    fields: tuple[str, ...] = value.__struct_fields__  # type: ignore[attr-defined]  # of every record of the contracts
    read: Callable[[str], Any] = value.__getattribute__
    return {name: _plain(read(name)) for name in fields}
