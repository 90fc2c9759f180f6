"""Examples of refreshes, costs and budgets."""

from typing import Any

_CONNECTION = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"
_OTHER = "2d7a5b1e-2f6d-5c4f-b1b8-3f0e9f1fa1c2"
_CHARGE = "a1d0b7de-0b52-4c59-8a53-54d3f0a3c301"
_NOW = "2026-11-21T14:30:00+00:00"
_SOON = "2026-11-21T14:35:00+00:00"
_TOMORROW = "2026-11-22T09:12:00+00:00"

SCHEDULE: dict[str, Any] = {
    "auto_sync": True,
    "frequency_seconds": 21600,
    "next_sync_at": "2026-11-21T20:30:00+00:00",
    "last_synced_at": _NOW,
    "syncing": False,
    "paused_reason": None,
    "error_code": None,
    "realtime": False,
    "repair_by": None,
    "refresh_price": {"amount": "0.05", "currency": "USD", "estimated": False},
    "refresh_reason": "too_soon",
    "next_refresh_at": _SOON,
}
"""What a connection shows beside how it stands."""
_QUEUED: dict[str, Any] = {
    "connection_id": _CONNECTION,
    "provider": "snaptrade",
    "institution": "charles-schwab",
    "institution_name": "Charles Schwab",
    "status": "queued",
    "code": None,
    "reason": None,
    "paid": True,
    "price": "0.05",
    "currency": "USD",
    "estimated": False,
    "override": None,
    "retry_at": None,
    "next_refresh_at": _SOON,
    "charge_id": _CHARGE,
}
_TO_CONFIRM: dict[str, Any] = {
    "connection_id": _OTHER,
    "provider": "plaid",
    "institution": "chase",
    "institution_name": "Chase",
    "status": "needs_confirmation",
    "code": "REFRESH_TOO_SOON",
    "reason": "too_soon",
    "paid": True,
    "price": "0.10",
    "currency": "USD",
    "estimated": True,
    "override": "confirm_cost",
    "retry_at": _TOMORROW,
    "next_refresh_at": _TOMORROW,
    "charge_id": None,
}
_ORPHAN: dict[str, Any] = {
    "provider": "snaptrade",
    "orphan_id": "9f1c2a7be0d34c55a8e6b7d1f2039c41",
    "kind": "user",
    "user_id": "alice",
    "external_user_id": "alice",
    "external_id": None,
    "found_at": _NOW,
    "seen_at": _NOW,
    "resolved_at": None,
    "resolution": None,
}
_SUMS: dict[str, Any] = {
    "charged": "1.35",
    "reserved": "0.05",
    "unknown": "0.00",
    "charges": 27,
    "open": 1,
    "released": 2,
    "estimated": False,
}
REFRESHING: dict[str, Any] = {
    "RefreshBody": {"confirm_cost": True},
    "RefreshItem": _QUEUED,
    "RefreshAll": {
        "items": [_QUEUED, _TO_CONFIRM],
        "totals": {
            "queued": 1,
            "refused": 0,
            "needs_confirmation": 1,
            "price": "0.05",
            "price_to_confirm": "0.10",
            "currency": "USD",
            "estimated": True,
        },
    },
    "ConfigureBody": {"auto_sync": True, "frequency_seconds": 3600},
    "OrphanPage": {"items": [_ORPHAN], "unavailable": ["plaid"]},
    "Orphan": _ORPHAN,
    "ConfirmBody": {"confirm": True},
    "BreakerPage": {
        "items": [
            {
                "provider": "snaptrade",
                "institution": "charles-schwab",
                "failures": 5,
                "failed_at": _NOW,
                "open_until": _SOON,
                "probed_at": None,
                "reason": "INSTITUTION_UNAVAILABLE",
            }
        ],
        "unavailable": [],
    },
    "JobPage": {
        "items": [
            {
                "provider": "snaptrade",
                "name": "orphans",
                "running": False,
                "started_at": _NOW,
                "finished_at": _NOW,
                "next_at": _TOMORROW,
                "result": {"found": 1},
            }
        ],
        "unavailable": [],
    },
    "Costs": {
        "from": "2026-11-01",
        "to": "2026-11-21",
        "group_by": "provider",
        "currency": "USD",
        "items": [{"key": "snaptrade", **_SUMS}],
        "total": _SUMS,
        "next_cursor": None,
    },
    "UnsettledCharges": {
        "items": [
            {
                "charge_id": _CHARGE,
                "user_id": "alice",
                "provider": "snaptrade",
                "institution": "charles-schwab",
                "connection_id": _CONNECTION,
                "state": "unknown",
                "amount": "0.05",
                "currency": "USD",
                "estimated": False,
                "confirmed": False,
                "requested_by": "user:alice",
                "requested_at": _NOW,
                "error_code": "PROVIDER_UNAVAILABLE",
                "error": "no answer within 60 s",
            }
        ],
        "next_cursor": None,
    },
    "Forecast": {
        "month": "2026-11",
        "as_of": _NOW,
        "currency": "USD",
        "refreshes": [
            {
                "provider": "snaptrade",
                "charged": "1.35",
                "open": "0.05",
                "run_rate_rest_of_month": "0.6321",
                "forecast": "2.0321",
                "estimated": False,
            }
        ],
        "subscriptions": [
            {
                "provider": "snaptrade",
                "per": "user",
                "count": 12,
                "price": "2.00",
                "forecast": "24.00",
                "estimated": False,
            }
        ],
        "total": "26.0321",
    },
    "BudgetBody": {"scope": "user", "user_id": "alice", "daily_limit": "5.00"},
    "Budgets": {
        "items": [
            {
                "scope": "global",
                "user_id": None,
                "daily_limit": "25.00",
                "currency": "USD",
                "set_by": None,
                "set_at": None,
            },
            {
                "scope": "user",
                "user_id": "alice",
                "daily_limit": "5.00",
                "currency": "USD",
                "set_by": "admin:root",
                "set_at": _NOW,
            },
        ]
    },
}
"""Component name → example."""
