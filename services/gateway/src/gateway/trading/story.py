"""Orders of ours as people see them: how one stands, what happened to it, and what its request is answered. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.errors import MEANING, ErrorCode
from gateway.trading.intents import Intent
from gateway.trading.states import FINAL, State

MESSAGES: Mapping[State, str] = {
    State.CONFIRMED: "The order is about to be sent to your broker.",
    State.SUBMITTING: "The order is being sent to your broker.",
    State.ACCEPTED: "Your broker has the order.",
    State.REJECTED: "The order was not placed.",
    State.UNKNOWN: "The order is being verified with your broker.",
    State.NEEDS_USER: "Whether your broker has the order could not be verified; our support is looking into it.",
    State.PARTIALLY_FILLED: "A part of the order was filled.",
    State.FILLED: "The order was filled.",
    State.CANCELLED: "The order was cancelled.",
    State.REPLACED: "The order was replaced by another.",
    State.EXPIRED: "The order ran out of time.",
}
STATUS = {State.UNKNOWN: 202, State.NEEDS_USER: 202}
PLACED = 201


@dataclass(frozen=True, slots=True)
class Step:
    """One transition, as it was written down."""

    move: int
    from_state: str | None
    to_state: str
    actor: str
    reason: str | None
    request_id: str | None
    provider_request_id: str | None
    details: Any
    at: datetime


def shown(intent: Intent) -> dict[str, Any]:
    """An order as JSON values."""
    order = intent.order
    return {
        "order_id": str(intent.intent_id),
        "account_id": str(intent.account_id),
        "connection_id": str(intent.connection_id),
        "provider": intent.provider,
        "state": intent.state.value,
        "message": MESSAGES[intent.state],
        "final": intent.state in FINAL,
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "time_in_force": order.time_in_force.value,
        "quantity": plain(order.quantity),
        "notional": plain(order.notional),
        "limit_price": plain(order.limit_price),
        "stop_price": plain(order.stop_price),
        "price_effect": order.price_effect,
        "extended_hours": order.extended_hours,
        "expires_on": None if order.expires_on is None else order.expires_on.isoformat(),
        "legs": [
            {
                "symbol": leg.symbol,
                "side": leg.side.value,
                "quantity": plain(leg.quantity),
                "kind": leg.kind,
            }
            for leg in order.legs
        ],
        "currency": intent.currency,
        "worth": plain(intent.notional),
        "filled_quantity": plain(intent.filled_quantity),
        "average_price": plain(intent.average_price),
        "broker_order_ids": list(intent.broker_order_ids),
        "client_order_id": str(intent.client_order_id),
        "replaces_order_id": None if intent.replaces_intent_id is None else str(intent.replaces_intent_id),
        "error": _error(intent),
        "cancel_requested_at": _time(intent.cancel_requested_at),
        "created_at": _time(intent.created_at),
        "submitted_at": _time(intent.submitted_at),
        "settled_at": _time(intent.settled_at),
        "updated_at": _time(intent.updated_at),
    }


def told(intent: Intent, steps: Sequence[Step], replaced_by: str | None) -> dict[str, Any]:
    """An order with everything that happened to it, the oldest first."""
    history = [
        {
            "move": step.move,
            "from": step.from_state,
            "to": step.to_state,
            "by": step.actor.partition(":")[0],
            "reason": step.reason,
            "provider_request_id": step.provider_request_id,
            "at": _time(step.at),
        }
        for step in steps
    ]
    return shown(intent) | {"replaced_by_order_id": replaced_by, "history": history}


def answered(
    intent: Intent, request_id: str, more: Mapping[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """What the request that made the order is answered, now that it left our hands: status and body.

    ``more`` are details of a refusal.
    """
    if intent.state is not State.REJECTED:
        return STATUS.get(intent.state, PLACED), shown(intent)
    code = ErrorCode(intent.error_code or ErrorCode.ORDER_REJECTED)
    details = {"order_id": str(intent.intent_id), "state": intent.state.value, **(more or {})}
    error = {
        "code": code.value,
        "message": intent.error or MEANING[code].meaning,
        "requestId": request_id,
        "details": details,
    }
    return MEANING[code].status, {"error": error}


def text(body: Mapping[str, Any]) -> str:
    """A body as JSON text; the same body is the same text."""
    return json.dumps(body)


def plain(number: Decimal | None) -> str | None:
    """A number as text, never with an exponent."""
    if number is None:
        return None
    short = number.normalize()
    return f"{short:f}" if short else "0"


def _error(intent: Intent) -> dict[str, Any] | None:
    if intent.error_code is None or intent.state is not State.REJECTED:
        return None
    return {"code": intent.error_code, "message": intent.error or ""}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
