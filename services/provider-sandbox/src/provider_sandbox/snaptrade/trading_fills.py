"""When an order fills, and what a fill does to an account; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from provider_sandbox.snaptrade.trading_model import Leg, Ticket, TradeOrder
from provider_sandbox.world import Account, Holding, Security

_CENT = Decimal("0.01")


def triggered(order: TradeOrder, securities: Mapping[str, Security]) -> bool:
    """Whether the stop of an order was reached, now or before; orders without a stop always are."""
    ticket = order.ticket
    if order.triggered or ticket.stop is None:
        return True
    price = securities[ticket.legs[0].security_key].price
    if price is None:
        return False
    return price >= ticket.stop if ticket.legs[0].buys else price <= ticket.stop


def marketable(ticket: Ticket, securities: Mapping[str, Security]) -> bool:
    """Whether a triggered order can fill at the prices of now."""
    prices = [securities[leg.security_key].price for leg in ticket.legs]
    if any(price is None for price in prices):
        return False
    if ticket.order_type in {"Market", "Stop"}:
        return True
    if len(ticket.legs) > 1:
        return _net_is_good(ticket, net(ticket, securities))
    price, limit = prices[0], ticket.limit
    return (
        price is not None
        and limit is not None
        and (price <= limit if ticket.legs[0].buys else price >= limit)
    )


def net(ticket: Ticket, securities: Mapping[str, Security]) -> Decimal:
    """What one combination of the legs costs per share now; negative when money comes in."""
    total = sum(
        (leg.signed(leg.quantity) * (securities[leg.security_key].price or 0) for leg in ticket.legs),
        Decimal(0),
    )
    return total / ticket.combinations


def _net_is_good(ticket: Ticket, cost: Decimal) -> bool:
    if ticket.price_effect == "EVEN" or ticket.limit is None:
        return cost <= 0
    return -cost >= ticket.limit if ticket.price_effect == "CREDIT" else cost <= ticket.limit


def value(leg: Leg, price: Decimal, securities: Mapping[str, Security]) -> Decimal:
    """What the whole leg is worth at a price, in the settlement currency, always positive."""
    return leg.quantity * price * securities[leg.security_key].unit_factor


def after_fill(
    account: Account,
    leg: Leg,
    quantity: Decimal,
    price: Decimal,
    *,
    fee: Decimal,
    securities: Mapping[str, Security],
) -> Account:
    """Return the account after a fill of `quantity` units of a leg: holding, cash, and the sweep fund if cash ran out."""
    security = securities[leg.security_key]
    holdings = _with_units(account.holdings, security.key, leg.signed(quantity), price)
    cost = leg.signed(quantity) * price * security.unit_factor + fee
    currency = security.settlement_currency
    cash = {**account.cash, currency: account.cash.get(currency, Decimal(0)) - cost.quantize(_CENT)}
    changed = replace(account, holdings=tuple(holdings), cash=cash)
    return _from_sweep(changed, currency, securities) if cash[currency] < 0 else changed


def _with_units(holdings: Iterable[Holding], key: str, units: Decimal, price: Decimal) -> list[Holding]:
    """Add units (negative takes away); several rows of the security become one."""
    rows = [h for h in holdings if h.security_key == key and not h.cash_equivalent]
    made: list[Holding] = []
    for holding in holdings:
        if holding not in rows:
            made.append(holding)
        elif holding is rows[0]:
            made += _moved(rows, key, units, price)
    return made if rows else [*made, Holding(key, units, price)]


def _moved(rows: list[Holding], key: str, units: Decimal, price: Decimal) -> list[Holding]:
    before = sum((h.quantity for h in rows), Decimal(0))
    after = before + units
    if after == 0:
        return []
    return [Holding(key, after, _average(rows, before, units, price))]


def _average(rows: list[Holding], before: Decimal, units: Decimal, price: Decimal) -> Decimal | None:
    costs = [h.average_cost for h in rows]
    if before == 0 or (before + units) * before < 0:
        return price
    if None in costs:
        return None
    paid = sum((h.quantity * (h.average_cost or 0) for h in rows), Decimal(0))
    if units * before < 0:
        return paid / before
    return ((paid + units * price) / (before + units)).quantize(Decimal("0.0001"))


def _from_sweep(account: Account, currency: str, securities: Mapping[str, Security]) -> Account:
    """Redeem sweep funds for cash that is missing."""
    cash, kept = dict(account.cash), []
    for holding in account.holdings:
        security, row = securities[holding.security_key], holding
        usable = holding.cash_equivalent and security.settlement_currency == currency
        if usable and security.price and cash[currency] < 0:
            units = min(holding.quantity, -cash[currency] / security.price)
            cash[currency] += (units * security.price).quantize(_CENT)
            row = replace(holding, quantity=holding.quantity - units)
        if row.quantity or not usable:
            kept.append(row)
    return replace(account, cash=cash, holdings=tuple(kept))
