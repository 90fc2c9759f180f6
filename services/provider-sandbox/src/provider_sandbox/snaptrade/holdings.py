"""Positions and balances of an account in SnapTrade's shapes, from what a sync saw."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.instruments import instrument
from provider_sandbox.snaptrade.numbers import moment, number, text
from provider_sandbox.snaptrade.reference import SEARCHABLE, currency, option_symbol, universal_symbol
from provider_sandbox.snaptrade.seen import Seen
from provider_sandbox.world import Holding, Security


def positions(seen: Seen) -> list[dict[str, Any]]:
    """Return the `AccountPosition` rows; none where the broker hides them."""
    if seen.account.holdings_hidden:
        return []
    return [_position(seen, holding) for holding in seen.account.holdings]


def _position(seen: Seen, holding: Holding) -> dict[str, Any]:
    security = seen.securities[holding.security_key]
    row = {
        "instrument": instrument(security, seen.securities),
        "units": text(holding.quantity),
        "price": text(security.price),
        "cost_basis": text(holding.average_cost),
        "currency": security.currency,
    }
    return row | {"cash_equivalent": True} if holding.cash_equivalent else row


def positions_body(seen: Seen, as_of: datetime) -> bytes:
    """Return the body of `positions/all`; the rows are rendered once per sync."""
    rows = seen.rendered.get("positions")
    if rows is None:
        rows = seen.rendered["positions"] = json.dumps(positions(seen), separators=(",", ":")).encode()
    freshness = json.dumps({"as_of": moment(as_of)}, separators=(",", ":")).encode()
    return b'{"results":' + rows + b',"data_freshness":' + freshness + b"}"


def cash_with_sweep(seen: Seen) -> dict[str, Decimal]:
    """Return cash per currency as SnapTrade reports it: money-market positions are counted in it too."""
    cash = dict(seen.account.cash)
    for holding in seen.account.holdings:
        security = seen.securities[holding.security_key]
        if holding.cash_equivalent and security.price is not None:
            code = security.settlement_currency
            cash[code] = cash.get(code, Decimal(0)) + holding.quantity * security.price
    return cash


def balances(seen: Seen) -> list[dict[str, Any]]:
    """Return one `Balance` per currency; the buying power is only known for cash accounts."""
    return [
        {
            "currency": currency(code),
            "cash": number(amount.quantize(Decimal("0.01"))),
            "buying_power": None
            if seen.account.margin
            else number(max(amount, Decimal(0)).quantize(Decimal("0.01"))),
        }
        for code, amount in cash_with_sweep(seen).items()
    ]


def old_positions(seen: Seen) -> list[dict[str, Any]]:
    """Return the `positions` of the retired `/holdings`: everything but derivatives."""
    rows = []
    for holding in seen.account.holdings:
        security = seen.securities[holding.security_key]
        if security.kind in SEARCHABLE:
            rows.append(_old_position(security, holding))
    return rows


def _old_position(security: Security, holding: Holding) -> dict[str, Any]:
    return {
        "symbol": {
            "symbol": universal_symbol(security),
            "id": stable_id("brokerage symbol", security.key),
            "description": security.name,
            "local_id": None,
            "is_quotable": True,
            "is_tradable": True,
        },
        "units": number(holding.quantity),
        "price": None if security.price is None else number(security.price),
        "open_pnl": None,
        "average_purchase_price": None if holding.average_cost is None else number(holding.average_cost),
        "fractional_units": None,
        "currency": currency(security.currency),
        "cash_equivalent": holding.cash_equivalent,
        "tax_lots": [],
    }


def old_option_positions(seen: Seen) -> list[dict[str, Any]]:
    """Return the `option_positions` of the retired `/holdings`; the average price is per contract there."""
    rows = []
    for holding in seen.account.holdings:
        security = seen.securities[holding.security_key]
        if security.kind == "option" and security.option is not None:
            cost = None if holding.average_cost is None else holding.average_cost * security.option.multiplier
            rows.append(
                {
                    "symbol": {
                        "option_symbol": option_symbol(security, seen.securities),
                        "id": stable_id("brokerage symbol", security.key),
                        "description": security.name,
                    },
                    "price": None if security.price is None else number(security.price),
                    "units": number(holding.quantity),
                    "average_purchase_price": None if cost is None else number(cost),
                    "currency": currency(security.currency),
                }
            )
    return rows
