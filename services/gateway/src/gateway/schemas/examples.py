"""One example per body, true to form; a test holds each against its schema."""

from typing import Any

from gateway.schemas.examples_activity import activity
from gateway.schemas.examples_decisions import DECISIONS
from gateway.schemas.examples_explain import BASE, CHECK, EXPLAINED, TOTAL, explanation
from gateway.schemas.examples_manual import MANUAL
from gateway.schemas.examples_placing import PLACING
from gateway.schemas.examples_refreshing import REFRESHING, SCHEDULE
from gateway.schemas.examples_trading import TRADING

_CONNECTION = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"
_ACCOUNT = "3d1f6a0e-8f7b-5a52-8d68-6cf0c6f0a102"
_OTHER_ACCOUNT = "7a0c5b1e-2f6d-5c4f-b1b8-3f0e9f1fa103"
_REAL = "9b2e7c3f-4a5d-5b60-9c79-7d0f1a2ba104"
_OTHER_REAL = "b4d09e51-6c7f-5d82-8e9b-9f203c4da105"
_PORTFOLIO = "c5e1af62-7d80-5e93-9fac-a0314d5ea106"
_POSITION = "d6f2b073-8e91-5fa4-80bd-b1425e6fa107"
_SESSION = "e703c184-9fa2-40b5-91ce-c2536f70a108"
_SNAPSHOT = "1a36f4b7-c2d5-53e8-a4f1-f58692a3a10b"
_HASH = "9f1c2a7be0d34c55a8e6b7d1f2039c41"
_THEN = "2026-11-21T14:30:00+00:00"
_LATER = "2026-11-21T15:00:00+00:00"

INSTRUMENT: dict[str, Any] = {
    "key": "AAPL",
    "kind": "stock",
    "symbol": "AAPL",
    "name": "Apple Inc.",
    "currency": "USD",
    "mic": "XNAS",
    "figi": "BBG000B9XRY4",
    "figi_share_class": "BBG001S5N8V8",
    "isin": None,
    "cusip": None,
    "provider_security_id": None,
    "multiplier": "1",
    "option": None,
    "maturity": None,
}
ACCOUNT: dict[str, Any] = {
    "id": _ACCOUNT,
    "connection_id": _CONNECTION,
    "provider": "snaptrade",
    "institution": "charles-schwab",
    "real_account_id": _REAL,
    "name": "Individual",
    "official_name": None,
    "type": "brokerage",
    "raw_type": "Individual",
    "currency": "USD",
    "mask": "4321",
    "status": "open",
    "is_paper": False,
    "total": {"amount": "25230.5", "currency": "USD"},
    "capabilities": {"trading": True, "realtime": False},
    "holds_securities": True,
    "holdings": 12,
    "as_of": _THEN,
    "synced_at": _THEN,
    "suspect": False,
    "suspect_reason": None,
    "counted": True,
    "counted_account_id": _ACCOUNT,
    "counted_reason": "only_source",
    "excluded_rule": None,
    "waiting": False,
    "stale": False,
    "needs_decision": False,
    "connection_status": "active",
    "snapshot": {"id": _SNAPSHOT, "content_hash": _HASH, "version": 4},
    "check": CHECK,
}
CONNECTION: dict[str, Any] = {
    "id": _CONNECTION,
    "provider": "snaptrade",
    "institution": "charles-schwab",
    "institution_name": "Charles Schwab",
    "connection_type": "trade",
    "status": "active",
    "status_reason": None,
    "provider_code": None,
    "status_at": _THEN,
    "needs_repair": False,
    "linked_at": _THEN,
    "accounts": 2,
    "as_of": _THEN,
    "synced_at": _THEN,
    **SCHEDULE,
}
_PRICED: dict[str, Any] = {
    "instrument_id": "3c5816d9-e4f7-550a-b613-07a8b4c5a10d",
    "price": "230.25",
    "price_as_of": _THEN,
    "synced_at": _THEN,
    "snapshot_id": _SNAPSHOT,
    "content_hash": _HASH,
}
_HEAD: dict[str, Any] = {
    "id": _POSITION,
    "portfolio_id": _PORTFOLIO,
    "instrument": INSTRUMENT,
    "ticker": "AAPL",
    "type": "stock",
    "name": "Apple Inc.",
    "currency": "USD",
    "quantity": "150",
    "price": "230.25",
    "price_as_of": _THEN,
    "market_value": "34537.5",
    "value_complete": True,
    "cost_basis": "9000",
    "cost_basis_complete": False,
    "provider": "snaptrade",
    "account_id": _ACCOUNT,
    "position_source": "consolidated",
    "position_status": "current",
    "stale": False,
    "as_of": _THEN,
    "last_consolidation_at": _THEN,
    "capabilities": {"trading": True, "realtime": False},
}
POSITION: dict[str, Any] = _HEAD | {
    "contributions": [
        {
            "real_account_id": _REAL,
            "account_id": _ACCOUNT,
            "provider": "snaptrade",
            "quantity": "50",
            "market_value": "11512.5",
            "cost_basis": "9000",
            "as_of": _THEN,
            "version": 4,
            **_PRICED,
        },
        {
            "real_account_id": _OTHER_REAL,
            "account_id": _OTHER_ACCOUNT,
            "provider": "plaid",
            "quantity": "100",
            "market_value": "23025",
            "cost_basis": None,
            "as_of": _THEN,
            "version": 2,
            **_PRICED,
        },
    ],
    "excluded": [],
}
ACCOUNT_POSITION: dict[str, Any] = {
    "instrument": INSTRUMENT,
    "ticker": "AAPL",
    "type": "stock",
    "name": "Apple Inc.",
    "currency": "USD",
    "quantity": "50",
    "price": "230.25",
    "price_as_of": _THEN,
    "market_value": "11512.5",
    "cost_basis": "9000",
    "cash_equivalent": False,
    "provider": "snaptrade",
    "account_id": _ACCOUNT,
    "as_of": _THEN,
    "synced_at": _THEN,
}
LINK_SESSION: dict[str, Any] = {
    "id": _SESSION,
    "status": "pending",
    "reason": None,
    "provider": "snaptrade",
    "institution": "charles-schwab",
    "institution_name": "Charles Schwab",
    "capabilities": {"trading": True},
    "reasons": ["coverage prefers snaptrade for charles-schwab"],
    "policy_version": "1",
    "redirect_uri": "https://app.example.com/linked",
    "reconnect_connection_id": None,
    "connection_ids": [],
    "code": None,
    "duplicate_of": None,
    "repair": None,
    "created_at": _THEN,
    "expires_at": _LATER,
}

EXAMPLES: dict[str, dict[str, Any]] = {
    **DECISIONS,
    **EXPLAINED,
    "Explanation": explanation(_HEAD, INSTRUMENT),
    **activity(INSTRUMENT),
    **MANUAL,
    **REFRESHING,
    **TRADING,
    **PLACING,
    "LinkBody": {"institution": "charles-schwab", "redirect_uri": "https://app.example.com/linked"},
    "ReconnectBody": {"redirect_uri": "https://app.example.com/linked"},
    "CompleteBody": {"connection_id": "87b24961-b51e-4db8-9226-f198f6518a89"},
    "LinkSession": LINK_SESSION,
    "StartedLink": LINK_SESSION
    | {
        "url": "https://portal.example.com/connect?token=shown-once",
        "url_expires_at": "2026-11-21T14:35:00+00:00",
        "link_token": None,
    },
    "InstitutionPage": {
        "items": [
            {
                "slug": "charles-schwab",
                "name": "Charles Schwab",
                "type": "brokerage",
                "popular": True,
                "provider": "snaptrade",
                "capabilities": {"trading": True},
                "reasons": ["coverage prefers snaptrade for charles-schwab"],
            }
        ],
        "next_cursor": None,
    },
    "Connection": CONNECTION,
    "ConnectionPage": {"items": [CONNECTION], "next_cursor": None},
    "RemovedConnection": {"id": _CONNECTION, "status": "removing"},
    "Account": ACCOUNT,
    "AccountPage": {"items": [ACCOUNT], "next_cursor": None},
    "Balances": {
        "account_id": _ACCOUNT,
        "items": [
            {
                "currency": "USD",
                "cash": "3000",
                "available": None,
                "buying_power": "6000",
                "equity": None,
                "maintenance_excess": None,
                "margin_loan": None,
                "as_of": _THEN,
                "synced_at": _THEN,
            }
        ],
        "next_cursor": None,
    },
    "AccountPositions": {"account_id": _ACCOUNT, "items": [ACCOUNT_POSITION], "next_cursor": None},
    "Position": POSITION,
    "PositionPage": {
        "portfolio_id": _PORTFOLIO,
        "version": 12,
        "synced_at": _THEN,
        "items": [POSITION],
        "next_cursor": None,
    },
    "Summary": {
        "portfolio_id": _PORTFOLIO,
        "version": 12,
        "changed_at": _THEN,
        "totals": [TOTAL],
        "by_type": [
            {"type": "cash", "currency": "USD", "market_value": "9000", "complete": True, "positions": 1},
            {"type": "stock", "currency": "USD", "market_value": "34537.5", "complete": True, "positions": 1},
        ],
        "by_provider": [TOTAL | {"provider": "snaptrade"}],
        "positions": {"total": 2, "stale": 0, "incomplete": 0, "excluded_duplicates": 0},
        "accounts": {"total": 2, "counted": 2, "stale": 0, "suspect": 0, "needs_decision": 0},
        "attention": {"quarantined": [], "waiting": [], "needs_decision": []},
        "connections": {"active": 2},
        "freshness": {"oldest_as_of": _THEN, "newest_synced_at": _THEN},
        "checks": {"ok": 2, "break": 0, "unknown": 0, "breaks": []},
        "base": BASE,
    },
    "ErrorBody": {
        "error": {
            "code": "NOT_FOUND",
            "message": "No such account.",
            "requestId": "5f0c7c1e8a5b4d0e9a3f6f0d2b9c4e11",
        }
    },
}
"""Component name → example."""
