"""What a broker looks at before it takes an order: permission, instruments, market, money, holdings."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from provider_sandbox.snaptrade import errors
from provider_sandbox.snaptrade.errors import SnapTradeError
from provider_sandbox.snaptrade.store import Connection
from provider_sandbox.snaptrade.trading_conditions import Conditions
from provider_sandbox.snaptrade.trading_fills import net, value
from provider_sandbox.snaptrade.trading_forms import Asked, AskedLeg
from provider_sandbox.snaptrade.trading_instruments import TRADABLE
from provider_sandbox.snaptrade.trading_model import Leg, Ticket, TradeOrder
from provider_sandbox.world import Account, Institution, Security, World

Find = Callable[[AskedLeg], Security | None]
_FRACTION = Decimal("0.000001")


def refused(detail: str) -> SnapTradeError:
    """The broker refuses an order: 400 `1068`."""
    return SnapTradeError(400, "1068", detail)


def may_trade(connection: Connection, institution: Institution, account: Account) -> None:
    """Raise unless orders can be placed through this connection at all."""
    if not institution.snaptrade_allows_trading:
        raise errors.invalid(f"{institution.name} does not support trading.")
    if connection.type != "trade":
        raise SnapTradeError(403, "1066", "This connection is read-only: trading is not permitted.")
    if connection.disabled_at is not None:
        raise errors.disabled()
    if account.family != "investment":
        raise errors.invalid("This account does not support trading.")


def ticket(asked: Asked, find: Find, conditions: Conditions, now: datetime) -> Ticket:
    """Work out instruments and quantities; raises the 400 for what this broker does not trade."""
    if asked.notional is not None and (len(asked.legs) > 1 or not conditions.fractional):
        raise errors.invalid("notional_value is not supported by this brokerage.")
    if asked.expires is not None and asked.expires <= now:
        raise errors.invalid("expiry_date must be in the future.")
    legs = tuple(_leg(leg, find(leg), asked.notional, conditions) for leg in asked.legs)
    if len({leg.security_key for leg in legs}) < len(legs):
        raise errors.invalid("legs: An instrument may only be named once.")
    if len(legs) > 1 and asked.stop is not None:
        raise errors.invalid("Stop orders are not supported with several legs.")
    return Ticket(
        legs,
        asked.order_type,
        asked.time_in_force,
        asked.limit,
        asked.stop,
        asked.notional,
        asked.price_effect,
        asked.extended,
        asked.expires,
    )


def _leg(asked: AskedLeg, security: Security | None, notional: Decimal | None, conditions: Conditions) -> Leg:
    if security is None:
        raise errors.invalid(f"Symbol {asked.symbol or asked.universal_symbol_id} could not be found.")
    if security.kind not in TRADABLE or security.price is None or security.mic is None:
        raise errors.invalid(f"{security.symbol or security.name} is not tradable at this brokerage.")
    is_option = security.kind == "option"
    if asked.option is not None and asked.option != is_option:
        raise errors.invalid(f"{security.symbol} is not of the instrument type given.")
    if is_option != ("_TO_" in asked.action):
        raise errors.invalid(f"action {asked.action} is not valid for {security.symbol}.")
    quantity = asked.quantity
    if quantity is None:
        quantity = ((notional or Decimal(0)) / security.price).quantize(_FRACTION, ROUND_DOWN)
    whole = quantity == quantity.to_integral_value()
    if quantity <= 0 or (not whole and (is_option or not conditions.fractional)):
        raise errors.invalid("units: Fractional units are not supported for this order.")
    return Leg(security.key, asked.action, quantity)


def market_takes(wanted: Ticket, conditions: Conditions) -> None:
    """Raise when the market is closed for this order."""
    if conditions.market == "closed" and not wanted.extended:
        raise refused("Market is closed. Orders can be placed during market hours only.")


def fees(wanted: Ticket, conditions: Conditions) -> Decimal:
    """What an order costs beside its price."""
    contracts = sum((leg.quantity for leg in wanted.legs if "_TO_" in leg.action), Decimal(0))
    return conditions.commission + conditions.option_fee * contracts


def cost(wanted: Ticket, world: World, conditions: Conditions) -> dict[str, Decimal]:
    """What an order may take out of cash at most, per currency; negative when money comes in."""
    spent: dict[str, Decimal] = {}
    if len(wanted.legs) == 1:
        leg = wanted.legs[0]
        security = world.securities[leg.security_key]
        price = wanted.limit or wanted.stop or security.price or Decimal(0)
        spent[security.settlement_currency] = leg.signed(value(leg, price, world.securities))
    else:
        security = world.securities[wanted.legs[0].security_key]
        spent[security.settlement_currency] = _net_cost(wanted, world)
    currency = next(iter(spent))
    spent[currency] += fees(wanted, conditions)
    return spent


def _net_cost(wanted: Ticket, world: World) -> Decimal:
    factor = max(world.securities[leg.security_key].unit_factor for leg in wanted.legs)
    per_share = net(wanted, world.securities)
    if wanted.limit is not None:
        per_share = -wanted.limit if wanted.price_effect == "CREDIT" else wanted.limit
    return per_share * wanted.combinations * factor


def available(account: Account, open_orders: Iterable[TradeOrder], world: World, currency: str) -> Decimal:
    """What can be spent in a currency: cash with sweep money, less what open orders may take; margin adds equity."""
    money = account.cash.get(currency, Decimal(0))
    for holding in account.holdings:
        security = world.securities[holding.security_key]
        if holding.cash_equivalent and security.settlement_currency == currency:
            money += world.value(holding) or Decimal(0)
    if account.margin:
        money += max(world.convert(world.total(account), account.currency, currency), Decimal(0))
    for order in open_orders:
        money -= max(cost(_rest(order.ticket), world, Conditions()).get(currency, Decimal(0)), Decimal(0))
    return money


def _rest(wanted: Ticket) -> Ticket:
    return replace(wanted, legs=tuple(replace(leg, quantity=leg.left) for leg in wanted.legs))


def affordable(
    account: Account, wanted: Ticket, open_orders: list[TradeOrder], world: World, conditions: Conditions
) -> None:
    """Raise 400 `1068` when cash or units are missing."""
    for leg in wanted.legs:
        _units_are_there(account, leg, wanted, open_orders)
    for currency, needed in cost(wanted, world, conditions).items():
        if needed > max(available(account, open_orders, world, currency), Decimal(0)):
            raise refused("You do not have enough cash to make this trade.")


def _units_are_there(account: Account, leg: Leg, wanted: Ticket, open_orders: list[TradeOrder]) -> None:
    held = sum((h.quantity for h in account.holdings if h.security_key == leg.security_key), Decimal(0))
    promised = sum(
        (
            other.signed(other.left)
            for order in open_orders
            for other in order.ticket.legs
            if other.security_key == leg.security_key and other.buys == leg.buys
        ),
        Decimal(0),
    )
    if leg.action == "BUY_TO_CLOSE":
        missing = held + promised + leg.quantity > 0
    elif leg.action == "SELL_TO_OPEN":
        missing = not account.margin and not any(other.buys for other in wanted.legs)
    else:
        missing = not leg.buys and held + promised < leg.quantity
        missing = missing and (leg.action == "SELL_TO_CLOSE" or not account.margin)
    if missing:
        raise refused("You do not have enough units to make this trade.")
