"""SnapTrade's orders in our terms. Pure.

It gives one record per leg. Legs of one order are orders of ours, told apart by their instrument; two records of
one leg are one.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from contracts.accounts import ProviderAccount
from contracts.instruments import Instrument, InstrumentKind
from contracts.money import InexactNumberError, quantity
from contracts.orders import Order, OrderStatus
from contracts.trading import AccountRef
from snaptrade_connector import wire
from snaptrade_connector.conservation import whole
from snaptrade_connector.instruments import PROVIDER
from snaptrade_connector.symbols import currency_of, instrument
from snaptrade_connector.units import currency_code, moment

STATUSES: dict[str, OrderStatus] = {
    "PENDING": OrderStatus.PENDING,
    "QUEUED": OrderStatus.PENDING,
    "SUSPENDED": OrderStatus.PENDING,
    "PENDING_RISK_REVIEW": OrderStatus.PENDING,
    "CONTINGENT_ORDER": OrderStatus.PENDING,
    "ACCEPTED": OrderStatus.ACCEPTED,
    "TRIGGERED": OrderStatus.ACCEPTED,
    "ACTIVATED": OrderStatus.ACCEPTED,
    "STOPPED": OrderStatus.ACCEPTED,
    "REPLACE_PENDING": OrderStatus.ACCEPTED,
    "PARTIAL": OrderStatus.PARTIALLY_FILLED,
    "EXECUTED": OrderStatus.FILLED,
    "CANCEL_PENDING": OrderStatus.CANCEL_PENDING,
    "CANCELED": OrderStatus.CANCELED,
    "PARTIAL_CANCELED": OrderStatus.CANCELED,
    "FAILED": OrderStatus.REJECTED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "REPLACED": OrderStatus.REPLACED,
}
"""A status that is not here reads as ``other``; the raw one stays beside it."""

_SIDES = {
    "BUY_OPEN": "BUY_TO_OPEN",
    "BUY_CLOSE": "BUY_TO_CLOSE",
    "SELL_OPEN": "SELL_TO_OPEN",
    "SELL_CLOSE": "SELL_TO_CLOSE",
}
UNKNOWN = "UNKNOWN"


def orders(account: ProviderAccount | AccountRef, records: Iterable[wire.OrderRecord]) -> list[Order]:
    """The orders of an account, as SnapTrade lists them.

    The id of a leg of an order with several is the order's, ``#`` and the key of the leg's instrument (and its side,
    where an order has two legs of one instrument).
    """
    legs: dict[tuple[str, str, str], Order] = {}
    for record in records:
        order = _order(account, record)
        name = (order.broker_order_id, order.instrument.key, order.side)
        if name not in legs or _newer(order, legs[name]):
            legs[name] = order
    alone = Counter(order_id for order_id, _, _ in legs)
    of_one = Counter((order_id, key) for order_id, key, _ in legs)
    return [
        order if alone[order_id] == 1 else _leg(order, twice=of_one[order_id, key] > 1)
        for (order_id, key, _), order in legs.items()
    ]


def _leg(order: Order, *, twice: bool) -> Order:
    side = f"/{order.side}" if twice else ""
    return msgspec.structs.replace(
        order, broker_order_id=f"{order.broker_order_id}#{order.instrument.key}{side}"
    )


def _newer(one: Order, other: Order) -> bool:
    at, then = one.updated_at or one.placed_at, other.updated_at or other.placed_at
    return at is not None and (then is None or at > then)


def _order(account: ProviderAccount | AccountRef, found: wire.OrderRecord) -> Order:
    quoted = found.quote_currency.code if found.quote_currency else None
    code = quoted or currency_of(found.universal_symbol, found.option_symbol)
    status, action = (found.status or "").upper(), (found.action or UNKNOWN).upper()
    return Order(
        account_id=account.account_id,
        broker_order_id=found.brokerage_order_id,
        status=STATUSES.get(status, OrderStatus.OTHER),
        raw_status=status,
        side=_SIDES.get(action, action),
        instrument=instrument(found.universal_symbol, found.option_symbol) or _unnamed(found),
        order_type=(found.order_type or UNKNOWN).upper(),
        time_in_force=(found.time_in_force or UNKNOWN).upper(),
        quantity=_number(found.total_quantity),
        filled_quantity=_number(found.filled_quantity),
        limit_price=_price(code, found.limit_price),
        stop_price=_price(code, found.stop_price),
        average_price=_price(code, found.execution_price),
        currency=currency_code(code) if code else None,
        placed_at=moment(found.time_placed),
        updated_at=moment(found.time_updated),
        executed_at=moment(found.time_executed),
    )


def _unnamed(found: wire.OrderRecord) -> Instrument:
    """An instrument SnapTrade could not map; its own id of it is all there is."""
    key = f"{PROVIDER}:{found.symbol or found.brokerage_order_id}"
    return Instrument(key=key, kind=InstrumentKind.OTHER, provider_security_id=found.symbol)


def _price(code: str | None, value: Decimal | None) -> Decimal | None:
    """A price per share in the whole currency; some brokers send zero where there is none."""
    if not value:
        return None
    return _number(whole(code, value) if code else value)


def _number(value: Decimal | None) -> Decimal | None:
    try:
        return None if value is None else quantity(value)
    except InexactNumberError:
        return None
