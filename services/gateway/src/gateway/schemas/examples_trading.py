"""Examples of trading."""

from typing import Any

_ACCOUNT = "3d1f6a0e-8f7b-5a52-8d68-6cf0c6f0a102"
_CONNECTION = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"
_PREVIEW = "5b0c3d1e-7f2a-4c68-9b1d-2e4f6a8c0d12"
_SYMBOL = "2bcd7cc3-e922-4976-bce1-9858296801c3"
_NOW = "2026-11-23T15:30:00+00:00"
_SOON = "2026-11-23T15:35:00+00:00"


def _figure(amount: str | None, source: str) -> dict[str, Any]:
    return {"amount": amount, "currency": None if amount is None else "USD", "source": source}


_QUOTE = {
    "symbol": "AAPL",
    "bid": "230.1",
    "ask": "230.12",
    "last": "230.11",
    "bid_size": "300",
    "ask_size": "100",
    "currency": "USD",
    "as_of": None,
}
TRADING: dict[str, Any] = {
    "ImpactBody": {
        "account_id": _ACCOUNT,
        "symbol": "AAPL",
        "side": "BUY",
        "order_type": "LIMIT",
        "time_in_force": "DAY",
        "quantity": "10",
        "limit_price": "230.50",
    },
    "OrderPreview": {
        "preview_id": _PREVIEW,
        "account_id": _ACCOUNT,
        "provider": "snaptrade",
        "institution": "charles-schwab",
        "order": {
            "symbol": "AAPL",
            "side": "BUY",
            "order_type": "LIMIT",
            "time_in_force": "DAY",
            "quantity": "10",
            "notional": None,
            "limit_price": "230.5",
            "stop_price": None,
            "extended_hours": False,
            "expires_on": None,
            "legs": [],
            "price_effect": None,
            "provider_symbol_id": None,
            "currency": "USD",
        },
        "quote": _QUOTE,
        "figures": {
            "price": _figure("230.5", "estimate"),
            "notional": _figure("2305", "estimate"),
            "cost": _figure("2305", "estimate"),
            "fees": _figure(None, "unavailable"),
            "total": _figure(None, "unavailable"),
            "remaining_cash": _figure("695.1", "broker"),
            "cash": _figure("3000.1", "broker"),
            "buying_power": _figure("6000", "broker"),
        },
        "broker_preview": True,
        "provider_request_id": "b1946ac92492d2347c6235b4d2611184",
        "warnings": [
            {
                "code": "fees_unknown",
                "message": "Nobody tells the fees of this order in advance.",
                "details": {},
            }
        ],
        "guards": [
            {"guard": "capability", "result": "passed", "code": None},
            {"guard": "price_collar", "result": "passed", "code": None},
        ],
        "created_at": _NOW,
        "expires_at": _SOON,
    },
    "SymbolsAnswer": {
        "account_id": _ACCOUNT,
        "provider": "snaptrade",
        "items": [
            {
                "symbol": "AAPL",
                "name": "Apple Inc.",
                "kind": "stock",
                "currency": "USD",
                "mic": "XNAS",
                "provider_symbol_id": _SYMBOL,
                "tradable": None,
                "fractional": None,
            }
        ],
    },
    "QuotesAnswer": {"account_id": _ACCOUNT, "items": [_QUOTE], "missing": ["ODD"]},
    "AccountTrading": {
        "account_id": _ACCOUNT,
        "connection_id": _CONNECTION,
        "provider": "snaptrade",
        "institution": "charles-schwab",
        "can_trade": False,
        "reasons": [
            {
                "code": "TRADING_NOT_SUPPORTED",
                "reason": "read_only_connection",
                "message": "This connection may only read; reconnect with trading to order here.",
                "action": "Reconnect with trading.",
            }
        ],
        "limits": {
            "max_order_notional": "25000",
            "max_day_notional": "100000",
            "price_collar": "0.1",
            "ordered_today": [{"amount": "2305", "currency": "USD"}],
        },
        "market": {"session": "regular", "opens_at": None},
    },
    "SwitchBody": {
        "scope": "provider",
        "provider": "snaptrade",
        "enabled": False,
        "reason": "The provider reports trouble with orders.",
    },
    "Switches": {
        "enabled_in_settings": True,
        "items": [
            {
                "scope": "provider",
                "provider": "snaptrade",
                "user_id": None,
                "enabled": False,
                "reason": "The provider reports trouble with orders.",
                "set_by": "admin:carol",
                "set_at": _NOW,
            }
        ],
    },
    "LimitBody": {
        "scope": "user",
        "user_id": "alice",
        "max_order_notional": "1000",
        "max_day_notional": "5000",
    },
    "LimitsAnswer": {
        "items": [
            {
                "scope": "settings",
                "user_id": None,
                "max_order_notional": "25000.00",
                "max_day_notional": "100000.00",
                "set_by": None,
                "set_at": None,
            }
        ]
    },
}
