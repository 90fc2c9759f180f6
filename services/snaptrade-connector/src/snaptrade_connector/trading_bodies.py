"""Orders as SnapTrade takes them. Pure.

Numbers leave as JSON numbers with the digits they have, whole ones as integers: SnapTrade signs what it reads, and
reads what is no integer as a binary fraction. A number that would not come out of that as it went in is refused.
"""

import re
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from contracts.errors import ErrorCode
from contracts.instruments import occ_symbol, ticker
from contracts.trading import (
    OrderLeg,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
)
from snaptrade_connector.outcomes import refused

Json = dict[str, Any]

PLAIN_SIDES = frozenset({Side.BUY, Side.SELL})
ORDER_TYPES = {
    OrderType.MARKET: "Market",
    OrderType.LIMIT: "Limit",
    OrderType.STOP: "Stop",
    OrderType.STOP_LIMIT: "StopLimit",
}
COMBINED_TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP_LOSS_MARKET",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
TIMES = {
    TimeInForce.DAY: "Day",
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.GTD: "GTD",
}
LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
EQUITY, OPTION = "EQUITY", "OPTION"
EFFECTS = frozenset({"DEBIT", "CREDIT", "EVEN"})
END_OF_DAY = time(23, 59, 59, tzinfo=UTC)
LEG = "#"
_OCC_PARTS = re.compile(r"([A-Z0-9.]{1,6})(\d{6}[CP]\d{8})")


def placement(account: str, order: OrderRequest, client_order_id: str) -> Json:
    """The body of ``POST /trade/place``.

    Raises:
        RefusedError: the endpoint has no way to say it.
    """
    _checked(order)
    body: Json = {
        "account_id": account,
        "action": order.side.value,
        "order_type": ORDER_TYPES[order.order_type],
        "time_in_force": TIMES[order.time_in_force],
        **_security(order),
        **_size(order),
        **_prices(order),
        "client_order_id": client_order_id,
    }
    if order.extended_hours:
        _only(order.order_type is OrderType.LIMIT, "outside of regular hours only limit orders are taken")
        body["trading_session"] = "EXTENDED"
    if order.expires_on is not None:
        expires = datetime.combine(order.expires_on, END_OF_DAY)
        body["expiry_date"] = expires.isoformat().replace("+00:00", "Z")
    return body


def preview(account: str, order: OrderRequest, symbol_id: str) -> Json:
    """The body of ``POST /trade/impact``.

    Raises:
        RefusedError: ``NOT_SUPPORTED``, SnapTrade previews no such order; else it is no order.
    """
    _checked(order)
    shown = (
        order.quantity is not None
        and order.side in PLAIN_SIDES
        and not order.extended_hours
        and order.time_in_force is not TimeInForce.GTD
    )
    _only(shown, "SnapTrade has no preview of such an order", ErrorCode.NOT_SUPPORTED)
    return {
        "account_id": account,
        "action": order.side.value,
        "universal_symbol_id": symbol_id,
        "order_type": ORDER_TYPES[order.order_type],
        "time_in_force": TIMES[order.time_in_force],
        **_size(order),
        **_prices(order),
    }


def combination(order: OrderRequest) -> Json:
    """The body of ``POST /accounts/{accountId}/trading/options`` and of its preview.

    Raises:
        RefusedError: the endpoint has no way to say it.
    """
    _only(order.notional is None, "options are ordered by contracts, not by amount")
    _only(not order.extended_hours, "options are not ordered outside of regular hours")
    _only(order.time_in_force is not TimeInForce.GTD, "an order of options cannot end on a day")
    _only(order.price_effect is None or order.price_effect in EFFECTS, "unknown price effect")
    even = order.price_effect == "EVEN"
    _only(even or order.order_type not in LIMITED or order.limit_price is not None, "a limit price is needed")
    _only(order.order_type not in STOPPED or order.stop_price is not None, "a stop price is needed")
    body: Json = {
        "order_type": COMBINED_TYPES[order.order_type],
        "time_in_force": TIMES[order.time_in_force],
        "legs": [_leg(leg) for leg in order.legs],
    }
    given = {"limit_price": order.limit_price, "stop_price": order.stop_price}
    body |= {name: format(_positive(value), "f") for name, value in given.items() if value is not None}
    return body | ({"price_effect": order.price_effect} if order.price_effect else {})


def replacement(broker_order_id: str, order: OrderRequest) -> Json:
    """The body of ``POST /accounts/{accountId}/trading/replace``.

    Raises:
        RefusedError: the endpoint has no way to say it.
    """
    _only(not order.legs, "an order of several legs cannot be replaced")
    _checked(order)
    _only(order.notional is None, "an order is replaced by one of units")
    _only(not order.extended_hours, "an order for extended hours cannot be replaced")
    _only(order.time_in_force is not TimeInForce.GTD, "an order that ends on a day cannot be replaced")
    return {
        "brokerage_order_id": order_id(broker_order_id),
        "action": order.side.value,
        "order_type": ORDER_TYPES[order.order_type],
        "time_in_force": TIMES[order.time_in_force],
        "symbol": symbol_text(order.symbol),
        **_size(order),
        **_prices(order),
    }


def order_id(broker_order_id: str) -> str:
    """The broker's id of an order, from ours of it or of one of its legs."""
    whole_order, mark, _ = broker_order_id.rpartition(LEG)
    return whole_order if mark else broker_order_id


def json_number(value: Decimal) -> int | Decimal:
    """A positive number as it goes into a body: an integer where it is whole, else its own digits.

    Raises:
        RefusedError: it is not positive, or has more digits than SnapTrade reads.
    """
    value = _positive(value)
    # What SnapTrade's parser makes of it; nothing is computed with that.
    _only(Decimal(repr(float(value))) == value, "a number has more digits than SnapTrade reads")
    return int(value) if value == value.to_integral_value() else value.normalize()


def symbol_text(symbol: str) -> str:
    """A ticker or OCC symbol as SnapTrade wants it: the root of an option padded to six.

    Raises:
        RefusedError: it is neither.
    """
    occ = occ_symbol(symbol)
    if occ is not None and (parts := _OCC_PARTS.fullmatch(occ)):
        return f"{parts[1]:<6}{parts[2]}"
    known = ticker(symbol)
    if known is None:
        raise refused("that is no symbol")
    return known


def _checked(order: OrderRequest) -> None:
    """Refuse what no endpoint takes, before anything is sent."""
    _only(order.quantity is None or order.notional is None, "give units or an amount, not both")
    by_amount = order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.DAY
    _only(order.notional is None or by_amount, "an amount is ordered at market and for the day only")
    _only(order.order_type not in LIMITED or order.limit_price is not None, "a limit price is needed")
    _only(order.order_type not in STOPPED or order.stop_price is not None, "a stop price is needed")
    ends = order.time_in_force is TimeInForce.GTD
    _only(
        ends == (order.expires_on is not None),
        "the day an order ends is needed, and only where it ends on one",
    )
    option = occ_symbol(order.symbol) is not None
    _only(option != (order.side in PLAIN_SIDES), "the side does not fit the instrument")


def _security(order: OrderRequest) -> Json:
    """Exactly one name of the instrument; the id names one listing, a ticker what SnapTrade makes of it."""
    if order.provider_symbol_id is not None:
        return {"universal_symbol_id": order.provider_symbol_id, "symbol": None}
    return {"symbol": symbol_text(order.symbol), "universal_symbol_id": None}


def _size(order: OrderRequest) -> Json:
    if order.notional is not None:
        return {"notional_value": format(_positive(order.notional), "f"), "units": None}
    if order.quantity is None:
        raise refused("units or an amount are needed")
    return {"units": json_number(order.quantity)}


def _prices(order: OrderRequest) -> Json:
    prices: Json = {}
    if order.order_type in LIMITED and order.limit_price is not None:
        prices["price"] = json_number(order.limit_price)
    if order.order_type in STOPPED and order.stop_price is not None:
        prices["stop"] = json_number(order.stop_price)
    return prices


def _leg(leg: OrderLeg) -> Json:
    option = leg.kind.lower() == "option"
    _only(option != (leg.side in PLAIN_SIDES), "the side of a leg does not fit its instrument")
    _only(not option or occ_symbol(leg.symbol) is not None, "a leg is no option")
    units = _positive(leg.quantity)
    _only(units == units.to_integral_value(), "a leg is ordered in whole units")
    return {
        "instrument": {"symbol": symbol_text(leg.symbol), "instrument_type": OPTION if option else EQUITY},
        "action": leg.side.value,
        "units": int(units),
    }


def _positive(value: Decimal) -> Decimal:
    _only(value.is_finite() and value > 0, "a number is not positive")
    return value


def _only(holds: bool, message: str, code: ErrorCode = ErrorCode.ORDER_REJECTED) -> None:
    if not holds:
        raise refused(message, code)
