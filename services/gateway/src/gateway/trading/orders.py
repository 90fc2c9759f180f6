"""The canonical order: read from what was asked, the same bytes for the same wish. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import blake2b

import msgspec

from contracts.instruments import occ_symbol, ticker
from contracts.money import InexactNumberError, quantity
from contracts.trading import OrderLeg, OrderRequest, OrderType, Side, TimeInForce
from gateway.trading.rules import Fault, broken

OPTION, EQUITY = "option", "equity"
NO_NUMBER = "number"
SELLING = frozenset({Side.SELL, Side.SELL_TO_OPEN, Side.SELL_TO_CLOSE})
CLOSING = frozenset({Side.SELL, Side.SELL_TO_CLOSE, Side.BUY_TO_CLOSE})
"""Sides that need something to be held."""
_ENCODER = msgspec.json.Encoder(decimal_format="string", order="deterministic")


class OrderFaultsError(ValueError):
    """What was asked is no order; every fault names its field."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].message)
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class AskedLeg:
    """A leg as it was asked for."""

    symbol: str
    side: Side
    quantity: Decimal
    kind: str = OPTION


@dataclass(frozen=True, slots=True)
class Asked:
    """An order as it was asked for; ``symbol``, ``side`` and ``quantity`` go without ``legs``, and the reverse."""

    order_type: OrderType
    time_in_force: TimeInForce
    symbol: str | None = None
    side: Side | None = None
    legs: Sequence[AskedLeg] = ()
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool = False
    expires_on: date | None = None
    price_effect: str | None = None
    provider_symbol_id: str | None = None
    currency: str | None = None


def read(asked: Asked, *, today: date, currency: str = "USD") -> OrderRequest:
    """The canonical order. An option named by its OCC symbol becomes an order of one leg.

    With legs, ``symbol``, ``side`` and ``quantity`` repeat the first. ``currency`` holds where none was asked for.

    Raises:
        OrderFaultsError: it is not one that any broker could take, and in which fields.
    """
    faults: list[Fault] = []
    legs = _legs(asked, faults)
    if not legs:
        raise OrderFaultsError(faults)
    first = legs[0]
    order = OrderRequest(
        symbol=first.symbol,
        side=first.side,
        order_type=asked.order_type,
        time_in_force=asked.time_in_force,
        quantity=None if asked.notional is not None and asked.quantity is None else first.quantity,
        notional=_exact("notional", asked.notional, faults),
        limit_price=_exact("limit_price", asked.limit_price, faults),
        stop_price=_exact("stop_price", asked.stop_price, faults),
        extended_hours=asked.extended_hours,
        expires_on=asked.expires_on,
        legs=legs if first.kind == OPTION or len(legs) > 1 else [],
        price_effect=asked.price_effect,
        provider_symbol_id=asked.provider_symbol_id,
        currency=asked.currency or currency,
    )
    if any(fault.code == NO_NUMBER for fault in faults):
        raise OrderFaultsError(faults)
    faults += broken(order, asked.quantity if asked.symbol is not None else first.quantity, today)
    if faults:
        raise OrderFaultsError(faults)
    return order


def legs_of(order: OrderRequest) -> list[OrderLeg]:
    """Its legs; an order of shares is one, with a quantity of zero where it is for an amount of money."""
    alone = OrderLeg(symbol=order.symbol, side=order.side, quantity=order.quantity or Decimal(0), kind=EQUITY)
    return list(order.legs) or [alone]


def symbols(order: OrderRequest) -> frozenset[str]:
    """Every instrument it is about."""
    return frozenset(leg.symbol for leg in legs_of(order))


def fingerprint(account_id: str, order: OrderRequest) -> str:
    """A hash that is equal exactly when the account and the order are."""
    return blake2b(account_id.encode() + b"\n" + _ENCODER.encode(order), digest_size=16).hexdigest()


Likeness = tuple[tuple[str, str, Decimal, Decimal | None], ...]


def likeness(order: OrderRequest) -> Likeness:
    """What makes two orders of an account look like a second click: symbols, sides, and how much. Prices do not."""
    return tuple(sorted((leg.symbol, leg.side.value, leg.quantity, order.notional) for leg in legs_of(order)))


@dataclass(frozen=True, slots=True)
class Sought:
    """What a broker's own record of one leg must say to be of an order; None stands for whatever it says."""

    symbol: str
    side: str
    order_type: str
    quantity: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None


def sought(order: OrderRequest) -> list[Sought]:
    """What to look for at the broker, a record a leg; a net price of several legs is no leg's own."""
    alone = len(order.legs) <= 1
    return [
        Sought(
            symbol=leg.symbol,
            side=leg.side.value,
            order_type=order.order_type.value,
            quantity=leg.quantity if order.notional is None else None,
            limit_price=order.limit_price if alone else None,
            stop_price=order.stop_price if alone else None,
        )
        for leg in legs_of(order)
    ]


def _legs(asked: Asked, faults: list[Fault]) -> list[OrderLeg]:
    if asked.legs:
        faults += [
            Fault((name,), "not_with_legs", f"{name} does not go together with legs.")
            for name in ("symbol", "side", "quantity", "notional")
            if getattr(asked, name) is not None
        ]
        return _unless_none(_leg(leg, ("legs", str(n)), faults) for n, leg in enumerate(asked.legs))
    if asked.symbol is None:
        faults.append(Fault(("symbol",), "missing", "Either symbol or legs must be given."))
    if asked.side is None:
        faults.append(Fault(("side",), "missing", "An order says whether it buys or sells."))
    if asked.symbol is None or asked.side is None:
        return []
    kind = OPTION if occ_symbol(asked.symbol) else EQUITY
    alone = AskedLeg(asked.symbol, asked.side, asked.quantity or Decimal(0), kind)
    return _unless_none([_leg(alone, (), faults)])


def _leg(asked: AskedLeg, place: tuple[str, ...], faults: list[Fault]) -> OrderLeg | None:
    symbol = occ_symbol(asked.symbol) if asked.kind == OPTION else ticker(asked.symbol)
    if symbol is None:
        what = "an OCC option symbol" if asked.kind == OPTION else "a ticker"
        faults.append(Fault((*place, "symbol"), "unknown_symbol", f"This is not {what}."))
        return None
    exact = _exact((*place, "quantity"), asked.quantity, faults)
    return OrderLeg(symbol=symbol, side=asked.side, quantity=exact or Decimal(0), kind=asked.kind)


def _unless_none(found: Iterable[OrderLeg | None]) -> list[OrderLeg]:
    legs = list(found)
    return [] if None in legs else [leg for leg in legs if leg is not None]


def _exact(place: str | tuple[str, ...], value: Decimal | None, faults: list[Fault]) -> Decimal | None:
    """The number in its shortest form, so that equal orders are equal bytes."""
    if value is None:
        return None
    try:
        exact = quantity(value)
    except InexactNumberError as error:
        where = (place,) if isinstance(place, str) else place
        faults.append(Fault(where, NO_NUMBER, f"It {str(error).removeprefix('a quantity ')}."))
        return None
    if exact != value:
        where = (place,) if isinstance(place, str) else place
        faults.append(Fault(where, "too_fine", "At most 18 decimal places."))
    short = exact.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short
