"""What an order is worth and costs, by its own prices and the last quote. Pure; our estimate, and labelled as one.

``notional`` is what limits are held against and errs to the larger side: a purchase counts its limit, a sale the higher
of its price and the quote, a contract sold to open what it obliges to (a spread: the distance of its strikes).
"""

from decimal import Decimal

from contracts.money import product
from contracts.trading import OrderImpact, OrderRequest, Quote, Side
from gateway.trading import rules
from gateway.trading.collar import reference
from gateway.trading.orders import OPTION, SELLING
from gateway.trading.values import Priced, Source

NONE, ONE = Decimal(0), Decimal(1)
SHARES_A_CONTRACT = Decimal(100)


def priced(order: OrderRequest, quote: Quote | None, *, multiplier: Decimal = SHARES_A_CONTRACT) -> Priced:
    """The order's price, worth and cost; ``multiplier`` is the shares of one contract, where it has contracts."""
    if len(order.legs) > 1:
        return _spread(order, multiplier)
    at = reference(order, quote)
    if order.notional is not None:
        sign = -ONE if order.side in SELLING else ONE
        return Priced(order.currency, at, order.notional, sign * order.notional, Source.ESTIMATE)
    price = _price(order, at)
    if price is None or order.quantity is None:
        return Priced(order.currency)
    units = multiplier if order.legs else ONE
    worth = product(price, order.quantity, units)
    selling = order.side in SELLING
    received = product(order.limit_price or at or price, order.quantity, units)
    notional = max(worth, _obligation(order, multiplier))
    return Priced(order.currency, price, notional, -received if selling else worth, Source.ESTIMATE)


def by_broker(
    order: OrderRequest, estimate: Priced, impact: OrderImpact, *, multiplier: Decimal = SHARES_A_CONTRACT
) -> Priced:
    """The estimate with what the broker's preview knows better; a cost in another currency is not counted."""
    cost = impact.cost
    if cost is None or cost.currency != estimate.currency:
        return estimate
    known = (abs(cost.amount), _obligation(order, multiplier), estimate.notional or NONE)
    return Priced(estimate.currency, estimate.price, max(known), cost.amount, Source.BROKER)


def _price(order: OrderRequest, at: Decimal | None) -> Decimal | None:
    if order.side in SELLING:
        known = [price for price in (order.limit_price, order.stop_price, at) if price is not None]
        return max(known, default=None)
    if order.limit_price is not None:
        return order.limit_price
    if order.stop_price is not None:
        return max(order.stop_price, at or NONE)
    return at


def _spread(order: OrderRequest, multiplier: Decimal) -> Priced:
    """Several legs: known by their net limit alone. One without is worth what nobody knows."""
    net = NONE if order.price_effect == "EVEN" else order.limit_price
    if net is None:
        return Priced(order.currency)
    cost = product(net, _combinations(order), multiplier)
    signed = -cost if order.price_effect == "CREDIT" else cost
    notional = max(cost, _obligation(order, multiplier), _shares(order))
    return Priced(order.currency, net, notional, signed, Source.ESTIMATE)


def _combinations(order: OrderRequest) -> Decimal:
    """How many times the net price is paid; the largest leg where they are in no common ratio."""
    counts = [int(leg.quantity) for leg in order.legs if leg.kind == OPTION]
    least = min(counts, default=1)
    return Decimal(least if all(count % least == 0 for count in counts) else max(counts))


def _obligation(order: OrderRequest, multiplier: Decimal) -> Decimal:
    """What contracts sold to open may cost: their strikes, or the distance to those bought with them."""
    total = NONE
    for right in ("C", "P"):
        short = [leg for leg in order.legs if leg.side is Side.SELL_TO_OPEN and _right(leg.symbol) == right]
        long = [leg for leg in order.legs if leg.side is Side.BUY_TO_OPEN and _right(leg.symbol) == right]
        sold = sum((leg.quantity for leg in short), NONE)
        strikes = [rules.strike(leg.symbol) for leg in (*short, *long)]
        if not sold:
            continue
        covered = sum((leg.quantity for leg in long), NONE) >= sold and _outlast(order, right)
        exposed = max(strikes) - min(strikes) if covered else max(rules.strike(leg.symbol) for leg in short)
        total += product(exposed, sold, multiplier)
    return total


def _outlast(order: OrderRequest, right: str) -> bool:
    """Whether what is bought lives at least as long as what is sold."""
    ends = {
        side: [
            rules.expires(leg.symbol)
            for leg in order.legs
            if leg.side is side and _right(leg.symbol) == right
        ]
        for side in (Side.BUY_TO_OPEN, Side.SELL_TO_OPEN)
    }
    bought = [day for day in ends[Side.BUY_TO_OPEN] if day is not None]
    sold = [day for day in ends[Side.SELL_TO_OPEN] if day is not None]
    return bool(bought and sold) and min(bought) >= max(sold)


def _shares(order: OrderRequest) -> Decimal:
    """Shares beside contracts are worth the nearest thing to a price there is: the highest strike."""
    strikes = [rules.strike(leg.symbol) for leg in order.legs if leg.kind == OPTION]
    shares = sum((leg.quantity for leg in order.legs if leg.kind != OPTION), NONE)
    return product(max(strikes, default=NONE), shares)


def _right(symbol: str) -> str | None:
    return rules.right(symbol) if rules.expires(symbol) is not None else None
