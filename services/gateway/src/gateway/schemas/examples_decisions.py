"""Examples of the bodies by which people decide."""

from typing import Any

_CONNECTION = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"
_OTHER_CONNECTION = "1a9c6f1f-6c2e-5e7f-8b64-1d701d208b02"
_ACCOUNT = "3d1f6a0e-8f7b-5a52-8d68-6cf0c6f0a102"
_OTHER_ACCOUNT = "7a0c5b1e-2f6d-5c4f-b1b8-3f0e9f1fa103"
_REAL = "9b2e7c3f-4a5d-5b60-9c79-7d0f1a2ba104"
_PORTFOLIO = "c5e1af62-7d80-5e93-9fac-a0314d5ea106"
_DEFAULT = "d6f2b073-8e91-5fa4-80bd-b1425e6fa107"
_DECISION = "f814d295-a0b3-41c6-82df-d3647081a109"
_REQUEST = "0925e3a6-b1c4-42d7-93e0-e4758192a10a"
_SNAPSHOT = "1a36f4b7-c2d5-53e8-a4f1-f58692a3a10b"
_NEWER = "2b4705c8-d3e6-54f9-b502-0697a3b4a10c"
_THEN = "2026-11-21T14:30:00+00:00"
_LATER = "2026-11-21T15:00:00+00:00"

SIGHT: dict[str, Any] = {
    "account_id": _ACCOUNT,
    "connection_id": _CONNECTION,
    "provider": "snaptrade",
    "institution": "fidelity",
    "name": "Individual",
    "mask": "4321",
    "type": "brokerage",
    "currency": "USD",
    "real_account_id": _REAL,
    "counted": True,
    "rule": "highest_priority",
}
OTHER_SIGHT: dict[str, Any] = SIGHT | {
    "account_id": _OTHER_ACCOUNT,
    "connection_id": _OTHER_CONNECTION,
    "provider": "plaid",
    "mask": None,
    "counted": False,
    "rule": "lower_priority:needs_decision",
}
_REASONS = ["institution_equal:+0.250", "type_equal:+0.050", "overlap:+0.300"]
SNAPSHOT: dict[str, Any] = {
    "snapshot_id": _SNAPSHOT,
    "version": 4,
    "content_hash": "5d41402abc4b2a76b9719d911017c592",
    "as_of": _THEN,
    "synced_at": _THEN,
    "first_synced_at": None,
    "holdings": 12,
    "value": {"amount": "25230.5", "currency": "USD"},
    "unpriced": 0,
}
EMPTY: dict[str, Any] = SNAPSHOT | {
    "snapshot_id": _NEWER,
    "version": 9,
    "content_hash": "7d793037a0760186574b0282f2f435e7",
    "as_of": _LATER,
    "synced_at": _LATER,
    "first_synced_at": _LATER,
    "holdings": 0,
    "value": {"amount": "0", "currency": "USD"},
}
_PENDING = {
    "real_account_id": _REAL,
    "accounts": [SIGHT, OTHER_SIGHT],
    "verdict": "needs_decision",
    "rule": "score",
    "score": "0.6",
    "reasons": _REASONS,
}
_HELD = {
    "real_account_id": _REAL,
    "institution": "fidelity",
    "account_ids": [_ACCOUNT, _OTHER_ACCOUNT],
    "counted_account_id": _ACCOUNT,
    "stale": False,
    "needs_decision": False,
}
_TOTAL = {"currency": "USD", "market_value": "25230.5", "complete": True, "positions": 12}
PORTFOLIO: dict[str, Any] = {
    "id": _PORTFOLIO,
    "name": "Retirement",
    "is_default": False,
    "status": "applied",
    "definition_version": 1,
    "account_ids": [_ACCOUNT],
    "real_accounts": [_HELD],
    "counts": {"positions": 12, "real_accounts": 1, "accounts": 2},
    "totals": [_TOTAL],
    "version": 3,
    "changed_at": _THEN,
    "created_at": _THEN,
    "updated_at": _THEN,
}
_DEFAULT_PORTFOLIO = PORTFOLIO | {
    "id": _DEFAULT,
    "name": "default",
    "is_default": True,
    "definition_version": None,
    "account_ids": None,
    "created_at": None,
    "updated_at": None,
}

DECISIONS: dict[str, dict[str, Any]] = {
    "IdentityBody": {"verdict": "same", "other_account_id": _OTHER_ACCOUNT},
    "IdentityDecision": {
        "decision_id": _DECISION,
        "verdict": "same",
        "status": "applied",
        "account_ids": [_ACCOUNT, _OTHER_ACCOUNT],
        "accounts": [
            {"account_id": _ACCOUNT, "real_account_id": _REAL},
            {"account_id": _OTHER_ACCOUNT, "real_account_id": _REAL},
        ],
        "same_real_account": True,
    },
    "Identity": {
        "account_id": _ACCOUNT,
        "real_account_id": _REAL,
        "needs_decision": False,
        "members": [SIGHT, OTHER_SIGHT | {"rule": "lower_priority"}],
        "evidence": [
            {
                "account": OTHER_SIGHT | {"rule": "lower_priority"},
                "verdict": "same",
                "rule": "decision",
                "score": "1",
                "reasons": [f"decided_at:{_THEN}"],
            }
        ],
        "decisions": [
            {
                "decision_id": _DECISION,
                "account_ids": [_ACCOUNT, _OTHER_ACCOUNT],
                "verdict": "same",
                "decided_by": "user:alice",
                "decided_at": _THEN,
                "holds": True,
            }
        ],
    },
    "PendingPairs": {"items": [_PENDING], "next_cursor": None},
    "JudgementBody": {"verdict": "accept", "version": 9},
    "SnapshotJudgement": {
        "judgement_id": _DECISION,
        "account_id": _ACCOUNT,
        "version": 9,
        "verdict": "accept",
        "status": "applied",
        "state": "current",
    },
    "Quarantine": {
        "account_id": _ACCOUNT,
        "current": SNAPSHOT,
        "quarantined": EMPTY,
        "vanishing": 12,
        "changes": [
            {
                "instrument_key": "AAPL",
                "currency": "USD",
                "quantity": "50",
                "new_quantity": None,
                "market_value": "11512.5",
                "new_market_value": None,
            }
        ],
        "changes_total": 12,
        "judgements": [],
    },
    "QuarantinedPage": {
        "items": [{"account": SIGHT, "quarantined": EMPTY, "current": SNAPSHOT}],
        "next_cursor": None,
    },
    "PortfolioBody": {"name": "Retirement", "account_ids": [_ACCOUNT]},
    "PortfolioChange": {"name": "Retirement and savings"},
    "Portfolio": PORTFOLIO,
    "PortfolioPage": {"items": [_DEFAULT_PORTFOLIO, PORTFOLIO], "next_cursor": None},
    "DroppedPortfolio": {"id": _PORTFOLIO, "status": "pending"},
    "ConsolidateBody": {},
    "Consolidation": {
        "request_id": _REQUEST,
        "status": "completed",
        "requested_by": "user:alice",
        "requested_at": _THEN,
        "results": [
            {
                "portfolio_id": _DEFAULT,
                "name": "default",
                "positions": 12,
                "accounts": 1,
                "real_accounts": 1,
                "providers": {"snaptrade": 1},
                "changed": 0,
                "removed": 0,
                "breaks": 0,
                "version": 3,
                "seconds": "0.042",
                "finished_at": _THEN,
            }
        ],
        "missing": [],
    },
}
"""Component name → example."""
