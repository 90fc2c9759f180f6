"""Examples of transactions, orders, histories and sync runs."""

from typing import Any

_CONNECTION = "0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a01"
_ACCOUNT = "3d1f6a0e-8f7b-5a52-8d68-6cf0c6f0a102"
_REAL = "9b2e7c3f-4a5d-5b60-9c79-7d0f1a2ba104"
_PORTFOLIO = "c5e1af62-7d80-5e93-9fac-a0314d5ea106"
_TRANSACTION = "5a7c8d9e-0f1a-4b2c-8d3e-4f5061728394"
_THEN = "2026-11-20T14:30:00+00:00"
_LATER = "2026-11-20T14:30:04.5+00:00"
_DAY = "2026-11-20"

_ACTIVITY: dict[str, Any] = {
    "id": _TRANSACTION,
    "account_id": _ACCOUNT,
    "connection_id": _CONNECTION,
    "provider": "snaptrade",
    "institution": "charles-schwab",
    "real_account_id": _REAL,
    "counted": True,
    "type": "BUY",
    "raw_type": "BUY",
    "description": "Bought 10 AAPL",
    "currency": "USD",
    "amount": "-2303.5",
    "quantity": "10",
    "price": "230.25",
    "fee": "1",
    "booked_on": _DAY,
    "traded_at": _THEN,
    "settlement_date": "2026-11-23",
    "pending": False,
    "option_action": None,
    "fx_rate": None,
    "broker_reference": "T-20261120-17",
    "first_seen_at": _LATER,
    "journal": {
        "synced_to_journal": True,
        "journal_trade_id": "trade-311",
        "sync_notes": None,
        "updated_at": _LATER,
    },
}
_TOTALS: dict[str, Any] = {
    "count": 1,
    "pending": 0,
    "currencies": [{"currency": "USD", "count": 1, "amount": "-2303.5", "fees": "1", "complete": True}],
}
_COVERAGE = {"from": "2021-01-04", "through": _DAY}
_ORDER: dict[str, Any] = {
    "account_id": _ACCOUNT,
    "connection_id": _CONNECTION,
    "provider": "snaptrade",
    "institution": "charles-schwab",
    "broker_order_id": "1005417312",
    "status": "filled",
    "raw_status": "EXECUTED",
    "side": "buy",
    "order_type": "limit",
    "time_in_force": "day",
    "quantity": "10",
    "filled_quantity": "10",
    "limit_price": "231",
    "stop_price": None,
    "average_price": "230.25",
    "currency": "USD",
    "placed_at": _THEN,
    "updated_at": _THEN,
    "executed_at": _THEN,
    "first_seen_at": _LATER,
}
_RUN: dict[str, Any] = {
    "run_id": "c0a8012e-1111-4222-8333-444455556666",
    "kind": "incremental",
    "trigger": "schedule",
    "status": "completed",
    "accounts": 2,
    "unchanged": 1,
    "holdings": 12,
    "transactions": 3,
    "orders": 1,
    "new_items": 4,
    "updated_items": 0,
    "coverage": {"from": "2026-11-06", "through": _DAY},
    "provider_calls": 4,
    "cost": {"amount": "0", "currency": "USD"},
    "started_at": _THEN,
    "finished_at": _LATER,
    "seconds": "4.5",
    "error_code": None,
    "error": None,
}
_BASE: dict[str, Any] = {
    "currency": "EUR",
    "market_value": "31774.5",
    "complete": True,
    "rates": [{"currency": "USD", "rate": "0.92", "as_of": _THEN, "source": "table"}],
    "without_rate": [],
}


def activity(instrument: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Component name → example; transactions and orders are of this instrument."""
    transaction, order = _ACTIVITY | {"instrument": instrument}, _ORDER | {"instrument": instrument}
    return {
        "Transaction": transaction,
        "TransactionPage": {"totals": _TOTALS, "items": [transaction], "next_cursor": None},
        "AccountActivities": {
            "account_id": _ACCOUNT,
            "coverage": _COVERAGE,
            "totals": _TOTALS,
            "items": [transaction],
            "next_cursor": None,
        },
        "JournalMark": {"synced_to_journal": True, "journal_trade_id": "trade-311"},
        "JournalMarks": {"ids": [_TRANSACTION], "synced_to_journal": True},
        "MarkedTransactions": {"changed": [_TRANSACTION], "unchanged": 0, "not_found": []},
        "OrderPage": {"items": [order], "next_cursor": None},
        "Performance": {
            "account_id": _ACCOUNT,
            "currency": "USD",
            "as_of": _THEN,
            "synced_at": _LATER,
            "points": [{"day": "2026-11-19", "total": "25100"}, {"day": _DAY, "total": "25230.5"}],
            "returns": [{"period": "1Y", "rate": "0.0713"}],
            "reason": None,
        },
        "PortfolioHistory": {
            "portfolio_id": _PORTFOLIO,
            "start_date": _DAY,
            "end_date": "2026-11-21",
            "points": [
                {
                    "day": day,
                    "carried": day != _DAY,
                    "computed_on": _DAY,
                    "totals": [{"currency": "USD", "market_value": "34537.5", "complete": True}],
                    "base": _BASE,
                }
                for day in (_DAY, "2026-11-21")
            ],
        },
        "SyncRunPage": {"connection_id": _CONNECTION, "items": [_RUN], "next_cursor": None},
    }
