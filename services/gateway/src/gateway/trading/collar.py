"""Prices against the last quote. Pure.

A limit may be worse than the quote by the collar at most. A stop may be on the side where it triggers at once by the
collar at most. The limit behind a stop may be worse than the stop by the collar at most.
"""

from decimal import Decimal

from contracts.errors import ErrorCode
from contracts.trading import OrderRequest, OrderType, Quote
from gateway.trading.orders import SELLING
from gateway.trading.values import Finding, refusing, warning

GUARD = "price_collar"
ONE = Decimal(1)


def reference(order: OrderRequest, quote: Quote | None) -> Decimal | None:
    """What the order would trade at now: the other side of the book, else the last trade; None without a quote."""
    if quote is None:
        return None
    sells = order.side in SELLING
    known = (quote.bid, quote.last, quote.ask) if sells else (quote.ask, quote.last, quote.bid)
    return next((price for price in known if price is not None and price > 0), None)


def check(order: OrderRequest, quote: Quote | None, collar: Decimal) -> Finding | None:
    """What the quote says of the order's own prices; a net price of several legs has no quote."""
    if order.order_type is OrderType.MARKET or len(order.legs) > 1:
        return None
    if (behind := _behind_its_stop(order, collar)) is not None:
        return behind
    at = reference(order, quote)
    if at is None:
        return warning(GUARD, "price_not_checked", "There is no quote to hold the price against.")
    return _stop(order, at, collar) if order.stop_price is not None else _limit(order, at, collar)


def _limit(order: OrderRequest, at: Decimal, collar: Decimal) -> Finding | None:
    limit = order.limit_price
    if limit is None:
        return None
    worse = _worse(order, limit, at)
    if worse > collar:
        message = "The limit is much worse than the last quote."
        return refusing(
            GUARD, ErrorCode.PRICE_OUT_OF_RANGE, message, _details("limit_price", limit, at, collar)
        )
    if -worse > collar:
        message = "The limit is far from the last quote; the order may never be filled."
        return warning(GUARD, "far_from_quote", message, _details("limit_price", limit, at, collar))
    return None


def _stop(order: OrderRequest, at: Decimal, collar: Decimal) -> Finding | None:
    stop = order.stop_price
    if stop is None:
        return None
    # A stop to buy belongs above the quote and one to sell below it: on the other side it triggers at once.
    wrong = -_worse(order, stop, at)
    details = _details("stop_price", stop, at, collar)
    if wrong > collar:
        message = "The stop is on the wrong side of the last quote: it would trigger at once."
        return refusing(GUARD, ErrorCode.PRICE_OUT_OF_RANGE, message, details)
    if wrong >= 0:
        return warning(GUARD, "stop_triggers_at_once", "The stop would trigger at once.", details)
    if -wrong > collar:
        return warning(GUARD, "far_from_quote", "The stop is far from the last quote.", details)
    return None


def _behind_its_stop(order: OrderRequest, collar: Decimal) -> Finding | None:
    stop, limit = order.stop_price, order.limit_price
    if stop is None or limit is None or _worse(order, limit, stop) <= collar:
        return None
    message = "The limit is much worse than the stop it waits for."
    return refusing(
        GUARD, ErrorCode.PRICE_OUT_OF_RANGE, message, _details("limit_price", limit, stop, collar)
    )


def _worse(order: OrderRequest, price: Decimal, than: Decimal) -> Decimal:
    """By which part a price is worse for the user than another; negative where it is better."""
    change = price / than - ONE
    return -change if order.side in SELLING else change


def _details(name: str, price: Decimal, reference_price: Decimal, collar: Decimal) -> dict[str, str]:
    return {
        "field": name,
        "price": f"{price.normalize():f}",
        "reference": f"{reference_price.normalize():f}",
        "collar": f"{collar.normalize():f}",
    }
