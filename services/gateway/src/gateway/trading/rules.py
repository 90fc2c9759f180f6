"""Which orders no broker could take: one rule, one field, one reason. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from contracts.instruments import occ_symbol
from contracts.trading import OrderRequest, OrderType, Side, TimeInForce

LEGS_MOST = 4
GTD_MOST = timedelta(days=366)
LARGEST_QUANTITY = Decimal(10) ** 12
_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_PLAIN = frozenset({Side.BUY, Side.SELL})
_EVEN = "EVEN"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong; ``place`` is the path of the field in the body."""

    place: tuple[str, ...]
    code: str
    message: str


def broken(order: OrderRequest, asked_quantity: Decimal | None, today: date) -> list[Fault]:
    """Every rule that the order breaks; ``asked_quantity`` is None where none was asked for."""
    found = [fault for rule in _RULES for fault in rule(order)]
    return [*_amount(order, asked_quantity), *found, *_expiry(order, today), *_live(order, today)]


def _amount(order: OrderRequest, asked: Decimal | None) -> list[Fault]:
    if (asked is None) == (order.notional is None):
        message = "Exactly one of quantity and notional must be given."
        return [Fault(("quantity",), "one_amount", message)]
    faults = [
        Fault((name,), "not_positive", "It must be above zero.")
        for name, value in (
            ("quantity", None if order.legs else asked),
            ("notional", order.notional),
            ("limit_price", order.limit_price),
            ("stop_price", order.stop_price),
        )
        if value is not None and value <= 0
    ]
    if asked is not None and asked >= LARGEST_QUANTITY:
        faults.append(Fault(("quantity",), "too_large", "It must be below 10^12."))
    return faults


def _money_order(order: OrderRequest) -> list[Fault]:
    if order.notional is None:
        return []
    if order.legs:
        return [Fault(("notional",), "not_for_options", "Options are ordered in contracts.")]
    if order.order_type is not OrderType.MARKET or order.time_in_force is not TimeInForce.DAY:
        message = "An amount of money can only be ordered at the market, for the day."
        return [Fault(("notional",), "market_day_only", message)]
    return []


def _prices(order: OrderRequest) -> list[Fault]:
    faults: list[Fault] = []
    spread = len(order.legs) > 1
    even = spread and order.price_effect == _EVEN
    limited, stopped = order.order_type in _LIMITED, order.order_type in _STOPPED
    for name, value, wanted in (
        ("limit_price", order.limit_price, limited),
        ("stop_price", order.stop_price, stopped),
    ):
        if wanted and value is None and not (even and name == "limit_price"):
            faults.append(Fault((name,), "missing", f"A {order.order_type.value} order needs a {name}."))
        if not wanted and value is not None:
            message = f"A {order.order_type.value} order has no {name}."
            faults.append(Fault((name,), "not_of_this_type", message))
    if spread and stopped:
        faults.append(Fault(("order_type",), "not_with_legs", "Several legs go at the market or at a limit."))
    return faults


def _effect(order: OrderRequest) -> list[Fault]:
    spread = len(order.legs) > 1
    if order.price_effect is not None and not spread:
        return [Fault(("price_effect",), "only_with_legs", "It is of orders with several legs.")]
    if spread and order.order_type is OrderType.LIMIT and order.price_effect is None:
        message = "Whether the limit is paid (DEBIT), received (CREDIT) or EVEN must be said."
        return [Fault(("price_effect",), "missing", message)]
    if order.price_effect == _EVEN and order.limit_price is not None:
        return [Fault(("limit_price",), "even", "EVEN is a price of its own: give no limit_price.")]
    return []


def _session(order: OrderRequest) -> list[Fault]:
    if not order.extended_hours:
        return []
    if order.legs:
        return [Fault(("extended_hours",), "not_for_options", "Options trade in regular hours only.")]
    if order.order_type is not OrderType.LIMIT:
        return [Fault(("extended_hours",), "limit_only", "Outside regular hours only limits are taken.")]
    return []


def _leg_rules(order: OrderRequest) -> list[Fault]:
    if len(order.legs) > LEGS_MOST:
        return [Fault(("legs",), "too_many", f"At most {LEGS_MOST} legs.")]
    named = [leg.symbol for leg in order.legs]
    faults = (
        [Fault(("legs",), "twice", "An instrument may be named once.")] if len({*named}) < len(named) else []
    )
    for number, leg in enumerate(order.legs):
        if leg.quantity <= 0 or leg.quantity != leg.quantity.to_integral_value():
            message = "Contracts, and the shares beside them, are ordered in whole numbers above zero."
            faults.append(Fault(_in_leg(order, number, "quantity"), "whole", message))
        if (leg.kind == "option") == (leg.side in _PLAIN):
            message = "Options are bought and sold to open or to close; shares are bought or sold."
            faults.append(Fault(_in_leg(order, number, "side"), "side", message))
    if order.legs and all(leg.kind != "option" for leg in order.legs):
        faults.append(Fault(("legs",), "no_option", "Legs are for options; order shares by symbol."))
    return faults


def _share_side(order: OrderRequest) -> list[Fault]:
    if order.legs or order.side in _PLAIN:
        return []
    return [Fault(("side",), "side", "Shares are bought or sold; to open and to close is of options.")]


def _expiry(order: OrderRequest, today: date) -> list[Fault]:
    dated = order.time_in_force is TimeInForce.GTD
    if dated and order.legs:
        return [Fault(("time_in_force",), "not_for_options", "Orders of options have no date of their own.")]
    if dated and order.expires_on is None:
        return [Fault(("expires_on",), "missing", "GTD needs the day until which the order stands.")]
    if order.expires_on is None:
        return []
    if not dated:
        return [Fault(("expires_on",), "only_gtd", "Only GTD orders have a day of their own.")]
    if not today <= order.expires_on <= today + GTD_MOST:
        return [Fault(("expires_on",), "range", "A day from today on, at most a year ahead.")]
    return []


def _live(order: OrderRequest, today: date) -> list[Fault]:
    """Contracts that have expired cannot be ordered; a day's grace, for the exchange's day is not UTC's."""
    ended = today - timedelta(days=1)
    return [
        Fault(_in_leg(order, number, "symbol"), "expired", "The contract has expired, or has no such day.")
        for number, leg in enumerate(order.legs)
        if leg.kind == "option" and ((ends := expires(leg.symbol)) is None or ends < ended)
    ]


def expires(symbol: str) -> date | None:
    """The last day of an option by its OCC symbol; None where that is no day."""
    canonical = occ_symbol(symbol)
    try:
        return None if canonical is None else datetime.strptime(canonical[-15:-9], "%y%m%d").date()  # noqa: DTZ007 - a day
    except ValueError:
        return None


def strike(symbol: str) -> Decimal:
    """The strike of an option, per share, by its canonical OCC symbol."""
    return Decimal(symbol[-8:]) / 1000


def right(symbol: str) -> str:
    """``C`` or ``P``, by the canonical OCC symbol."""
    return symbol[-9]


def _in_leg(order: OrderRequest, number: int, name: str) -> tuple[str, ...]:
    return (name,) if len(order.legs) == 1 else ("legs", str(number), name)


_RULES: tuple[Callable[[OrderRequest], list[Fault]], ...] = (
    _money_order,
    _prices,
    _effect,
    _session,
    _leg_rules,
    _share_side,
)
