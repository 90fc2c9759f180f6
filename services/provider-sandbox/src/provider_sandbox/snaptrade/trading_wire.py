"""Placed orders in SnapTrade's shapes: one record per leg, one per order (v2), and that of `orders/all`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.snaptrade.instruments import instrument
from provider_sandbox.snaptrade.numbers import moment, text
from provider_sandbox.snaptrade.reference import option_symbol, universal_symbol
from provider_sandbox.snaptrade.trading_model import Leg, TradeOrder
from provider_sandbox.world import Security

Securities = Mapping[str, Security]
_SHORT = {
    "PENDING": "PENDING",
    "ACCEPTED": "PENDING",
    "QUEUED": "PENDING",
    "PARTIAL": "PARTIALLY_EXECUTED",
}
_UPPER = {"Market": "MARKET", "Limit": "LIMIT", "Stop": "STOP", "StopLimit": "STOP_LIMIT"}


def records(order: TradeOrder, securities: Securities) -> list[dict[str, Any]]:
    """Return one `AccountOrderRecord` per leg; all carry the order's id."""
    return [record(order, leg, securities) for leg in order.ticket.legs]


def record(order: TradeOrder, leg: Leg, securities: Securities) -> dict[str, Any]:
    """Return the `AccountOrderRecord` of a leg."""
    ticket, security = order.ticket, securities[leg.security_key]
    is_option = security.kind == "option"
    return {
        "brokerage_order_id": order.id,
        "brokerage_group_order_id": order.id if len(ticket.legs) > 1 else None,
        "order_role": None,
        "status": order.status,
        "universal_symbol": None if is_option else universal_symbol(security),
        "option_symbol": option_symbol(security, securities) if is_option else None,
        "quote_universal_symbol": None,
        "quote_currency": None,
        "action": leg.action.replace("_TO_", "_"),
        **_quantities(order, leg),
        "open_quantity": text(leg.left if order.is_open else Decimal(0)),
        "limit_price": text(ticket.limit),
        "stop_price": text(ticket.stop),
        "trailing_stop": None,
        "order_type": ticket.order_type,
        "time_in_force": ticket.time_in_force,
        "time_placed": moment(order.placed),
        "time_updated": moment(order.updated),
        "time_executed": moment(order.executed),
        "expiry_date": moment(ticket.expires),
        "symbol": stable_id("brokerage symbol", security.key),
        "child_brokerage_order_ids": None,
    }


def _quantities(order: TradeOrder, leg: Leg) -> dict[str, Any]:
    gone = order.status in {"CANCELED", "PARTIAL_CANCELED"}
    return {
        "total_quantity": text(leg.quantity),
        "filled_quantity": text(leg.filled),
        "canceled_quantity": text(leg.left if gone else Decimal(0)),
        "execution_price": text(leg.price),
    }


def _effect(order: TradeOrder) -> str:
    ticket = order.ticket
    if ticket.price_effect is not None:
        return ticket.price_effect
    if len(ticket.legs) > 1:
        return "UNKNOWN"
    return "DEBIT" if ticket.legs[0].buys else "CREDIT"


def _short(order: TradeOrder) -> str:
    return _SHORT.get(order.status, order.status)


def _execution_price(order: TradeOrder) -> Decimal | None:
    """The price of a single leg, the net price of one combination of several."""
    legs = order.ticket.legs
    if len(legs) == 1:
        return legs[0].price
    prices = [leg.price for leg in legs]
    if None in prices:
        return None
    paid = sum((leg.signed(leg.quantity) * (leg.price or 0) for leg in legs), Decimal(0))
    return abs(paid / order.ticket.combinations)


def record_v2(order: TradeOrder, securities: Securities) -> dict[str, Any]:
    """Return an `AccountOrderRecordV2`."""
    ticket = order.ticket
    return {
        "brokerage_order_id": order.id,
        "brokerage_group_order_id": None,
        "order_role": None,
        "status": order.status,
        "order_type": _UPPER[ticket.order_type],
        "time_in_force": ticket.time_in_force.upper(),
        "time_placed": moment(order.placed),
        "time_executed": moment(order.executed),
        "price_currency": securities[ticket.legs[0].security_key].currency,
        "price_effect": _effect(order),
        "execution_price": text(_execution_price(order)),
        "limit_price": text(ticket.limit),
        "stop_price": text(ticket.stop),
        "trailing_stop": None,
        "legs": [_leg_v2(order, leg, securities[leg.security_key]) for leg in ticket.legs],
    }


def _leg_v2(order: TradeOrder, leg: Leg, security: Security) -> dict[str, Any]:
    return {
        "leg_id": None,
        "instrument": {
            "symbol": security.symbol,
            "description": security.name,
            "asset_type": "OPTION" if security.kind == "option" else "EQUITY",
            "exchange_mic_code": security.mic,
            "figi_code": security.figi,
        },
        "action": leg.action,
        **_quantities(order, leg),
        "status": _short(order),
    }


def event_order(order: TradeOrder, securities: Securities) -> dict[str, Any]:
    """Return an order as TRADE_UPDATE carries it: no price effect, and numbers with ten decimals."""
    shown = record_v2(order, securities)
    del shown["price_effect"]
    return shown | _padded(shown) | {"legs": [leg | _padded(leg) for leg in shown["legs"]]}


_NUMBERS = frozenset(
    ["execution_price", "limit_price", "stop_price", "total_quantity", "filled_quantity", "canceled_quantity"]
)


def _padded(values: Mapping[str, Any]) -> dict[str, str]:
    return {n: f"{Decimal(v):.10f}" for n, v in values.items() if n in _NUMBERS and v is not None}


def _order_type(order: TradeOrder) -> dict[str, Any]:
    ticket = order.ticket
    prices = {"limit_price": text(ticket.limit), "stop_price": text(ticket.stop)}
    wanted = {"Market": (), "Limit": ("limit_price",), "Stop": ("stop_price",), "StopLimit": tuple(prices)}
    kind = _UPPER[ticket.order_type].lower()
    return {"kind": kind, **{name: prices[name] or "0" for name in wanted[ticket.order_type]}}


def record_all(order: TradeOrder, securities: Securities) -> dict[str, Any]:
    """Return an `AccountOrder` of `orders/all`."""
    ticket, single = order.ticket, len(order.ticket.legs) == 1
    totals = (
        _quantities(order, ticket.legs[0]) if single else dict.fromkeys(_quantities(order, ticket.legs[0]))
    )
    status = _short(order)
    return {
        "brokerage_order_id": order.id,
        "status": status,
        "order_type": _order_type(order),
        "time_in_force": ticket.time_in_force.upper(),
        "price_effect": _effect(order),
        "legs": [
            {
                "instrument": instrument(securities[leg.security_key], securities),
                "action": leg.action,
                "leg_id": None,
                "status": status,
                **_quantities(order, leg),
            }
            for leg in ticket.legs
        ],
        "expiry_date": moment(ticket.expires),
        "price_currency": securities[ticket.legs[0].security_key].currency,
        **totals,
        "open_quantity": text(ticket.legs[0].left if order.is_open else Decimal(0)) if single else None,
        "time_placed": moment(order.placed),
        "time_updated": moment(order.updated),
        "time_executed": moment(order.executed),
        "group": None,
    }
