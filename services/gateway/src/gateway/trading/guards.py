"""What may be ordered: one function a guard, each with its own code. Pure."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from contracts.errors import ErrorCode
from contracts.trading import OrderRequest, Side
from gateway.trading import capability as gate
from gateway.trading import collar, market_hours
from gateway.trading.orders import CLOSING, SELLING, legs_of, likeness, symbols
from gateway.trading.outstanding import bound, leaving
from gateway.trading.values import Account, Confirmed, Facts, Finding, Limits, Obstacle, refusing, warning

NONE = Decimal(0)
OLD = timedelta(hours=24)
"""From this age on, what an account holds is shown as old."""
IN_FLIGHT = frozenset({"CONFIRMED", "SUBMITTING", "UNKNOWN", "NEEDS_USER"})
"""States of an order that may or may not be at the broker."""
REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Case:
    """One order, and everything it is judged by."""

    facts: Facts
    order: OrderRequest
    limits: Limits
    now: datetime
    confirmed: Confirmed


Guard = Callable[[Case], Finding | None]


def guard(
    facts: Facts,
    order: OrderRequest,
    limits: Limits,
    now: datetime,
    *,
    confirmed: Confirmed | None = None,
    among: Sequence[Guard] | None = None,
) -> list[Finding]:
    """What the guards say, in their order; the order may go where no finding refuses.

    Args:
        facts: with ``priced`` where a guard of amounts is asked: what nobody can value is refused.
        order: canonical.
        limits: those that hold for the user.
        now: aware.
        confirmed: what the user confirmed.
        among: the guards to ask; all of them unless told otherwise.
    """
    case = Case(facts, order, limits, now, confirmed or Confirmed())
    asked = EVERY if among is None else among
    return [finding for one in asked if (finding := one(case)) is not None]


def lasting(facts: Facts) -> list[Finding]:
    """What stands in the way of every order of this account: the gate, the connection, the switches."""
    found = (*(_hindered(facts.account, one) for one in facts.obstacles), _switched_off(facts))
    return [finding for finding in found if finding is not None]


def unhealthy(account: Account, enabled: Collection[str]) -> list[Finding]:
    """What keeps an account's broker from being asked anything at all; ``enabled`` are the providers switched on."""
    found = gate.health(account, enabled)
    return [_hindered(account, one) for one in found]


def capability(case: Case) -> Finding | None:
    """Whether the account can trade at all."""
    return _obstacle(case.facts, gate.GATE)


def connection(case: Case) -> Finding | None:
    """Whether orders would arrive at the broker."""
    return _obstacle(case.facts, gate.HEALTH)


def switch(case: Case) -> Finding | None:
    """Whether trading is switched off for everybody, the provider or the user."""
    return _switched_off(case.facts)


def rate(case: Case) -> Finding | None:
    """One order a second and account."""
    last = case.facts.last_order_at
    if last is None or case.now - last >= case.limits.gap:
        return None
    wait = (last + case.limits.gap - case.now).total_seconds()
    details = {"retry_after": max(1, int(wait + 0.999))}
    message = "Orders of one account go one after another; try again in a moment."
    return refusing("rate", ErrorCode.ORDER_RATE_LIMITED, message, details)


def duplicate(case: Case) -> Finding | None:
    """An equal order a moment ago is a second click, unless the user says that it is not."""
    since, wanted = case.now - case.limits.duplicate_window, likeness(case.order)
    for known in case.facts.intents:
        if known.state != REJECTED and known.created_at > since and likeness(known.order) == wanted:
            details = {
                "order_id": str(known.intent_id),
                "placed_at": known.created_at.isoformat(),
                "override": "confirm_duplicate",
            }
            message = "An order like this one was placed a moment ago."
            if case.confirmed.duplicate:
                return warning("duplicate", "duplicate_confirmed", message, details)
            return refusing("duplicate", ErrorCode.DUPLICATE_SUSPECTED, message, details)
    return None


def unverified(case: Case) -> Finding | None:
    """While it is not known whether an order is at the broker, nothing else of its symbol is sent."""
    wanted = symbols(case.order)
    for known in case.facts.intents:
        if known.state in IN_FLIGHT and symbols(known.order) & wanted:
            details = {
                "order_id": str(known.intent_id),
                "state": known.state,
                "override": "confirm_unverified",
            }
            message = "An earlier order of this symbol is being verified with your broker."
            if case.confirmed.unverified:
                return warning("unverified", "unverified_confirmed", message, details)
            return refusing("unverified", ErrorCode.ORDER_BEING_VERIFIED, message, details)
    return None


def quantity_held(case: Case) -> Finding | None:
    """What is sold must be held and not offered already: nobody goes short by accident."""
    for leg in legs_of(case.order):
        if leg.side not in CLOSING:
            continue
        wanted = leg.quantity if case.order.notional is None else _shares(case)
        free = free_to_close(case.facts, leg.symbol, leg.side)
        if wanted is None or wanted > free:
            details = {
                "symbol": leg.symbol,
                "held": _plain(abs(case.facts.holdings.get(leg.symbol, NONE))),
                "available": _plain(free),
                "quantity": None if wanted is None else _plain(wanted),
            }
            message = f"This closes more of {leg.symbol} than the account holds and has not offered already."
            return refusing("quantity_held", ErrorCode.INSUFFICIENT_QUANTITY, message, details)
    return None


def order_notional(case: Case) -> Finding | None:
    """One order is worth so much at most; one that cannot be valued is not small."""
    most, priced = case.limits.max_order_notional, case.facts.priced
    notional = priced.notional if priced else None
    if notional is not None and notional <= most:
        return None
    details: dict[str, Any] = {"limit": _plain(most), "currency": case.order.currency}
    if notional is None:
        message = "There is no price to value this order by; set a limit price."
        details |= {"reason": "unpriced", "notional": None}
    else:
        message = "The order is larger than one order may be."
        details |= {"reason": "too_large", "notional": _plain(notional)}
    return refusing("order_notional", ErrorCode.ORDER_TOO_LARGE, message, details)


def day_notional(case: Case) -> Finding | None:
    """All orders of a user's day together are worth so much at most."""
    most, priced = case.limits.max_day_notional, case.facts.priced
    so_far = case.facts.ordered_today.get(case.order.currency, NONE)
    notional = priced.notional if priced else None
    if notional is not None and so_far + notional <= most:
        return None
    details = {
        "limit": _plain(most),
        "ordered_today": _plain(so_far),
        "left": _plain(max(most - so_far, NONE)),
        "currency": case.order.currency,
    }
    message = "With this order the day's limit would be exceeded."
    return refusing("day_notional", ErrorCode.DAILY_LIMIT_EXCEEDED, message, details)


def price_collar(case: Case) -> Finding | None:
    """A price much worse than the last quote is a slip of the finger."""
    return collar.check(case.order, case.facts.quote, case.limits.collar)


def buying_power(case: Case) -> Finding | None:
    """What is bought must be affordable, as far as the account's balances say."""
    priced, currency = case.facts.priced, case.order.currency
    if case.order.side in SELLING and not case.order.legs:
        return None
    money = case.facts.balances.get(currency)
    power = None if money is None else money.cash if money.buying_power is None else money.buying_power
    if money is None or power is None or priced is None or priced.cost is None:
        message = "What the account can spend, or what this costs, is not known; the broker decides."
        return warning("buying_power", "buying_power_unknown", message, {"currency": currency})
    left = power - bound(case.facts, currency, money.as_of)
    if priced.cost <= max(left, NONE):
        return None
    details = {"cost": _plain(priced.cost), "available": _plain(max(left, NONE)), "currency": currency}
    message = "The order costs more than the account can spend."
    return refusing("buying_power", ErrorCode.INSUFFICIENT_BUYING_POWER, message, details)


def opens_short(case: Case) -> Finding | None:
    """Contracts sold to open oblige; that is allowed, and said."""
    for leg in case.order.legs:
        if leg.side is Side.SELL_TO_OPEN:
            message = f"Selling {leg.symbol} to open obliges you to deliver, or to buy, if it is exercised."
            return warning("opens_short", "opens_short_position", message, {"symbol": leg.symbol})
    return None


def hours(case: Case) -> Finding | None:
    """An order outside market hours waits or is refused by the broker: a notice, never a refusal."""
    return market_hours.notice(case.order, case.now)


def freshness(case: Case) -> Finding | None:
    """What the account holds may have been read long ago."""
    as_of = case.facts.account.as_of
    if as_of is not None and case.now - as_of < OLD:
        return None
    details = {"as_of": None if as_of is None else as_of.isoformat()}
    return warning("freshness", "holdings_old", "What the account holds was read long ago.", details)


LASTING: tuple[Guard, ...] = (capability, connection, switch)
"""What no other order would pass either."""
BEFORE_QUOTE: tuple[Guard, ...] = (*LASTING, duplicate, unverified)
"""What can be said before any provider is asked."""
PREVIEWING: tuple[Guard, ...] = (
    *BEFORE_QUOTE,
    quantity_held,
    order_notional,
    day_notional,
    price_collar,
    buying_power,
    opens_short,
    hours,
    freshness,
)
"""What a preview is judged by; how fast orders follow each other is of placing alone."""
PLACING: tuple[Guard, ...] = (
    *LASTING,
    rate,
    duplicate,
    unverified,
    quantity_held,
    order_notional,
    day_notional,
    buying_power,
)
"""What is judged again in the transaction that claims an order, with the preview's price."""
EVERY: tuple[Guard, ...] = (*LASTING, rate, *(one for one in PREVIEWING if one not in LASTING))


def free_to_close(facts: Facts, symbol: str, side: Side) -> Decimal:
    """How much of a holding can be closed: what is held, less what is offered or gone. Never below zero."""
    held = facts.holdings.get(symbol, NONE)
    buying = side is Side.BUY_TO_CLOSE
    gone = leaving(facts, symbol, "BUY" if buying else "SELL")
    return NONE if gone is None else max((-held if buying else held) - gone, NONE)


def _obstacle(facts: Facts, name: str) -> Finding | None:
    return next((_hindered(facts.account, one) for one in facts.obstacles if one.guard == name), None)


def _hindered(account: Account, obstacle: Obstacle) -> Finding:
    details = {
        "reason": obstacle.reason,
        "provider": account.provider,
        "institution": account.institution,
        "connection_id": str(account.connection_id),
    }
    return refusing(obstacle.guard, obstacle.code, obstacle.message, details)


def _switched_off(facts: Facts) -> Finding | None:
    if facts.switch is None:
        return None
    details = {"scope": facts.switch.scope.partition(":")[0], "reason": facts.switch.reason}
    return refusing("switch", ErrorCode.TRADING_DISABLED, "Trading is switched off.", details)


def _shares(case: Case) -> Decimal | None:
    """How many shares an amount of money is."""
    priced, notional = case.facts.priced, case.order.notional
    if priced is None or not priced.price or notional is None:
        return None
    return notional / priced.price


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
