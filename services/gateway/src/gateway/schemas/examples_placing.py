"""Examples of orders of ours."""

from typing import Any

_AT = "2026-11-21T14:30:00+00:00"
_ORDER: dict[str, Any] = {
    "order_id": "7a3c9d52-1f64-4c0e-8a7b-6d5e4f3c2b1a",
    "account_id": "3d1f6a0e-8f7b-5a52-8d68-6cf0c6f0a102",
    "connection_id": "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01",
    "provider": "snaptrade",
    "state": "ACCEPTED",
    "message": "Your broker has the order.",
    "final": False,
    "symbol": "AAPL",
    "side": "BUY",
    "order_type": "LIMIT",
    "time_in_force": "DAY",
    "quantity": "10",
    "notional": None,
    "limit_price": "230.5",
    "stop_price": None,
    "price_effect": None,
    "extended_hours": False,
    "expires_on": None,
    "legs": [],
    "currency": "USD",
    "worth": "2305",
    "filled_quantity": None,
    "average_price": None,
    "broker_order_ids": ["66a033fa-da74-4fcf-b527-feefdec9257e"],
    "client_order_id": "1b9d6bcd-bbfd-5b2d-9b5d-ab8dfbbd4bed",
    "replaces_order_id": None,
    "error": None,
    "cancel_requested_at": None,
    "created_at": _AT,
    "submitted_at": _AT,
    "settled_at": None,
    "updated_at": _AT,
}
_STEPS = [
    ("user", None, "CONFIRMED"),
    ("user", "CONFIRMED", "SUBMITTING"),
    ("user", "SUBMITTING", "ACCEPTED"),
]
_UNKNOWN = _ORDER | {
    "state": "UNKNOWN",
    "message": "The order is being verified with your broker.",
    "broker_order_ids": [],
    "user_id": "alice",
    "baseline": ["5f0c7c1e-8a5b-4d0e-9a3f-6f0d2b9c4e11"],
    "looks": 2,
    "next_look_at": _AT,
}
PLACING: dict[str, Any] = {
    "PlaceBody": {"preview_id": "5b0c3d1e-7f2a-4c68-9b1d-2e4f6a8c0d12"},
    "ReplaceBody": {"limit_price": "231"},
    "ResolveBody": {
        "as": "accepted",
        "broker_order_id": "66a033fa-da74-4fcf-b527-feefdec9257e",
        "reason": "The broker's desk confirmed it by telephone.",
    },
    "OwnOrder": _ORDER,
    "OwnOrderPage": {"items": [_ORDER], "next_cursor": None},
    "OrderStory": _ORDER
    | {
        "replaced_by_order_id": None,
        "history": [
            {
                "move": move,
                "from": before,
                "to": to,
                "by": by,
                "reason": None,
                "provider_request_id": None,
                "at": _AT,
            }
            for move, (by, before, to) in enumerate(_STEPS)
        ],
    },
    "UnknownOrderPage": {"items": [_UNKNOWN], "next_cursor": None},
}
"""Component name → example."""
