"""Examples of the bodies by which accounts are entered by hand."""

from typing import Any

_ACCOUNT = "4e207b1f-908c-5b63-9e79-7de1d701b20c"
_CONNECTION = "5f318c20-a19d-5c74-8f8a-8ef2e812c30d"
_HOLDING = "60429d31-b2ae-4d85-909b-9f03f923d40e"
_PREVIEW = "7153ae42-c3bf-4e96-81ac-a0140a34e50f"
_THEN = "2026-11-21T14:30:00+00:00"
_LATER = "2026-11-21T15:00:00+00:00"

ENTERED: dict[str, Any] = {
    "symbol": "VTI",
    "type": "etf",
    "quantity": "12.5",
    "currency": "USD",
    "price": "301.4",
    "cost_basis": "2950",
    "price_as_of": "2026-11-20",
}
CASH: dict[str, Any] = {"symbol": "CUR:USD", "quantity": "1000"}
HOLDING: dict[str, Any] = {
    "id": _HOLDING,
    "instrument_key": "VTI",
    "symbol": "VTI",
    "type": "etf",
    "name": None,
    "currency": "USD",
    "quantity": "12.5",
    "price": "301.4",
    "market_value": None,
    "cost_basis": "2950",
    "cost_per_unit": None,
    "price_as_of": "2026-11-20T00:00:00+00:00",
    "figi": None,
    "isin": None,
    "cusip": None,
    "multiplier": None,
}
CSV = "Symbol,Shares,Price\nVTI,12.5,301.40\nBND,40,73.15\n"
COUNTS: dict[str, Any] = {
    "rows": 2,
    "holdings": 2,
    "bad_rows": 0,
    "errors": {},
    "skipped": 0,
    "market_value": [{"currency": "USD", "market_value": "6693.5", "complete": True}],
}

MANUAL: dict[str, dict[str, Any]] = {
    "ManualAccountBody": {
        "name": "Shoebox",
        "institution": "fidelity",
        "type": "brokerage",
        "currency": "USD",
        "mask": "4321",
        "holdings": [ENTERED, CASH],
    },
    "ManualAccountChange": {"name": "Old shoebox"},
    "ManualAccount": {
        "id": _ACCOUNT,
        "connection_id": _CONNECTION,
        "name": "Shoebox",
        "institution": "fidelity",
        "institution_name": "Fidelity",
        "type": "brokerage",
        "currency": "USD",
        "mask": "4321",
        "holdings": 2,
        "version": 1,
        "created_at": _THEN,
        "updated_at": _THEN,
        "status": "applied",
    },
    "DeletedAccount": {"id": _ACCOUNT, "status": "pending"},
    "HoldingBody": ENTERED,
    "HoldingChange": {"quantity": "13", "price": "302.1"},
    "HoldingsBody": {"holdings": [ENTERED, CASH]},
    "ManualHoldings": {"account_id": _ACCOUNT, "version": 1, "items": [HOLDING], "next_cursor": None},
    "HoldingsChange": {
        "account_id": _ACCOUNT,
        "version": 2,
        "holdings": 2,
        "holding": HOLDING,
        "status": "applied",
    },
    "ImportPreview": {
        "account_id": _ACCOUNT,
        "preview_id": _PREVIEW,
        "expires_at": _LATER,
        "mode": "replace",
        "encoding": "utf-8",
        "delimiter": ",",
        "decimal": ".",
        "dates": None,
        "columns": [
            {"name": "Symbol", "field": "symbol"},
            {"name": "Shares", "field": "quantity"},
            {"name": "Price", "field": "price"},
        ],
        "mapping": {"symbol": "Symbol", "quantity": "Shares", "price": "Price"},
        "missing": [],
        "remembered": False,
        "rows": [
            {
                "row": 2,
                "instrument_key": "VTI",
                "symbol": "VTI",
                "type": "stock",
                "name": None,
                "currency": "USD",
                "quantity": "12.5",
                "price": "301.4",
                "price_as_of": None,
                "market_value": "3767.5",
                "cost_basis": None,
            }
        ],
        "errors": [],
        "skipped": [],
        "notes": ["2 rows have no type; it was taken from the form of the symbol."],
        "totals": COUNTS,
        "would": {"added": 1, "changed": 1, "removed": 1, "unchanged": 0},
        "ready": True,
    },
    "ImportBody": {"preview_id": _PREVIEW},
    "ImportResult": {
        "account_id": _ACCOUNT,
        "preview_id": _PREVIEW,
        "version": 3,
        "holdings": 2,
        "added": 1,
        "changed": 1,
        "removed": 1,
        "unchanged": 0,
        "skipped_rows": 0,
        "status": "applied",
    },
}
"""Component name → example."""
