"""Examples of what positions rest on: explanations, snapshots, checks, groups."""

from typing import Any

_CONNECTION = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"
_OTHER_CONNECTION = "1a9c6f1f-6c2e-5e7f-8b64-1d701d208b02"
_ACCOUNT = "3d1f6a0e-8f7b-5a52-8d68-6cf0c6f0a102"
_OTHER_ACCOUNT = "7a0c5b1e-2f6d-5c4f-b1b8-3f0e9f1fa103"
_REAL = "9b2e7c3f-4a5d-5b60-9c79-7d0f1a2ba104"
_PORTFOLIO = "c5e1af62-7d80-5e93-9fac-a0314d5ea106"
_POSITION = "d6f2b073-8e91-5fa4-80bd-b1425e6fa107"
_INSTRUMENT = "3c5816d9-e4f7-550a-b613-07a8b4c5a10d"
_SNAPSHOT = "1a36f4b7-c2d5-53e8-a4f1-f58692a3a10b"
_OTHER_SNAPSHOT = "2b4705c8-d3e6-54f9-b502-0697a3b4a10c"
_HASH = "9f1c2a7be0d34c55a8e6b7d1f2039c41"
_THEN = "2026-11-21T14:30:00+00:00"

CHECK: dict[str, Any] = {
    "account_id": _ACCOUNT,
    "outcome": "ok",
    "reason": "within_tolerance",
    "counted": "25230.5",
    "expected": "25230.5",
    "difference": "0",
    "currency": "USD",
    "checked_at": _THEN,
}
TOTAL: dict[str, Any] = {"currency": "USD", "market_value": "43537.5", "complete": True, "positions": 2}
BASE: dict[str, Any] = {
    "currency": "EUR",
    "market_value": "40054.5",
    "complete": False,
    "rates": [
        {
            "currency": "USD",
            "rate": "0.92",
            "as_of": "2026-11-20T00:00:00+00:00",
            "source": "table",
            "market_value": "43537.5",
            "in_base": "40054.5",
        }
    ],
    "without_rate": [{"currency": "CAD", "market_value": "120", "complete": True, "positions": 1}],
    "hint": "Some currencies have no rate; they are listed apart and are not part of the sum.",
}
_EXPLAINED_CHECK = CHECK | {
    "real_account_id": _REAL,
    "meaning": "What is counted adds up to the provider's own total.",
}
_SIGHTING: dict[str, Any] = {
    "real_account": {
        "id": _REAL,
        "institution": "fidelity",
        "institution_name": "Fidelity",
        "name": "Individual",
        "mask": "4321",
        "needs_decision": False,
        "stale": False,
    },
    "account_id": _ACCOUNT,
    "connection_id": _CONNECTION,
    "connection_status": "active",
    "provider": "snaptrade",
    "quantity": "100",
    "market_value": "23025",
    "cost_basis": "9000",
    "price": "230.25",
    "clocks": {"as_of": _THEN, "price_as_of": _THEN, "synced_at": _THEN},
}


def explanation(head: dict[str, Any], instrument: dict[str, Any]) -> dict[str, Any]:
    """The example of an explanation, of this position."""
    sums = ("quantity", "market_value", "value_complete", "cost_basis", "cost_basis_complete")
    snapshot = {
        "id": _SNAPSHOT,
        "content_hash": _HASH,
        "version": 4,
        "state": "current",
        "agrees": True,
    }
    whole = {"quantity": "100", "market_value": "23025", "cost_basis": "9000", "cost_basis_complete": True}
    position = head | whole | {"position_source": "snaptrade"}
    return {
        "position": position,
        "rule": "Quantities, values and cost bases are summed over real accounts.",
        "contributions": [
            _SIGHTING
            | {
                "instrument": instrument,
                "snapshot": snapshot,
                "counted_because": {
                    "reason": "highest_priority",
                    "meaning": "It is the source of the highest provider priority among the healthy ones.",
                    "until": None,
                },
                "last_switch": None,
            }
        ],
        "excluded": [
            _SIGHTING
            | {
                "account_id": _OTHER_ACCOUNT,
                "connection_id": _OTHER_CONNECTION,
                "provider": "plaid",
                "cost_basis": None,
                "instrument": instrument,
                "snapshot": snapshot | {"id": _OTHER_SNAPSHOT, "version": 2},
                "counted_account_id": _ACCOUNT,
                "rule": "lower_priority",
                "meaning": "Another source of the same account has a higher provider priority.",
            }
        ],
        "sums": {name: position[name] for name in sums} | {"exact": True},
        "identity": [
            {
                "real_account_id": _REAL,
                "account_ids": [_ACCOUNT, _OTHER_ACCOUNT],
                "needs_decision": False,
                "pairs": [
                    {
                        "account_id": _ACCOUNT,
                        "other_account_id": _OTHER_ACCOUNT,
                        "verdict": "same",
                        "rule": "score",
                        "meaning": "Institution, account number, type, total and holdings were weighed; the "
                        "reasons carry their points.",
                        "score": "1.05",
                        "reasons": ["institution_equal:+0.250", "mask_equal:+0.350"],
                        "decision": None,
                    }
                ],
            }
        ],
        "checks": [_EXPLAINED_CHECK],
    }


_SNAPSHOT_HEAD: dict[str, Any] = {
    "id": _SNAPSHOT,
    "account_id": _ACCOUNT,
    "version": 4,
    "content_hash": _HASH,
    "state": "current",
    "as_of": _THEN,
    "synced_at": _THEN,
    "first_synced_at": None,
    "holdings": 1,
    "value": {"amount": "23025", "currency": "USD"},
    "unpriced": 0,
}
EXPLAINED: dict[str, dict[str, Any]] = {
    "CheckPage": {"items": [_EXPLAINED_CHECK], "next_cursor": None},
    "StoredSnapshotPage": {"account_id": _ACCOUNT, "items": [_SNAPSHOT_HEAD], "next_cursor": None},
    "StoredSnapshot": _SNAPSHOT_HEAD
    | {
        "provider": "snaptrade",
        "institution": "fidelity",
        "content": [
            {
                "instrument_id": _INSTRUMENT,
                "instrument_key": "AAPL",
                "currency": "USD",
                "quantity": "100",
                "price": "230.25",
                "market_value": "23025",
                "cost_basis": "9000",
                "price_as_of": _THEN,
                "cash_equivalent": False,
            }
        ],
    },
    "PositionGroups": {
        "portfolio_id": _PORTFOLIO,
        "version": 12,
        "synced_at": _THEN,
        "group_by": "provider",
        "groups": [
            {
                "key": "snaptrade",
                "name": "snaptrade",
                "positions": 1,
                "stale": False,
                "totals": [
                    {
                        "currency": "USD",
                        "market_value": "23025",
                        "complete": True,
                        "positions": 1,
                        "cost_basis": "9000",
                        "cost_basis_complete": True,
                    }
                ],
                "parts": [
                    {
                        "position_id": _POSITION,
                        "instrument_key": "AAPL",
                        "ticker": "AAPL",
                        "type": "stock",
                        "name": "Apple Inc.",
                        "currency": "USD",
                        "quantity": "100",
                        "market_value": "23025",
                        "value_complete": True,
                        "cost_basis": "9000",
                        "cost_basis_complete": True,
                        "contributions": 1,
                        "stale": False,
                    }
                ],
            }
        ],
        "next_cursor": None,
    },
}
