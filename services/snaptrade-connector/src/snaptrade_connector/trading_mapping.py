"""What SnapTrade says of previews, quotes and symbols in our terms. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from contracts.instruments import ticker
from contracts.money import Money, amount, quantity
from contracts.trading import OrderImpact, Quote, SymbolMatch
from snaptrade_connector import trading_wire, wire
from snaptrade_connector.conservation import whole
from snaptrade_connector.symbols import security
from snaptrade_connector.units import currency_code

SIGNS = {"DEBIT": Decimal(1), "CREDIT": Decimal(-1), "EVEN": Decimal(0)}


def impact(found: trading_wire.Impact, currency: str, request_id: str | None) -> OrderImpact:
    """The preview of an order of shares; fees are those SnapTrade knows, none where it knows none."""
    effect = found.trade_impacts[0] if found.trade_impacts else trading_wire.TradeImpact()
    balance = found.combined_remaining_balance or trading_wire.RemainingBalance()
    told = found.trade.symbol.currency if found.trade.symbol else None
    cash_code = balance.currency.code if balance.currency else (told.code if told else currency)
    known = [fee for fee in (effect.estimated_commission, effect.forex_fees) if fee is not None]
    fees = sum(known, Decimal(0)) if effect.estimated_commission is not None else None
    left = effect.remaining_cash if effect.remaining_cash is not None else balance.cash
    return OrderImpact(
        fees=_money(fees, cash_code), remaining_cash=_money(left, cash_code), provider_request_id=request_id
    )


def options_impact(found: trading_wire.OptionImpact, currency: str, request_id: str | None) -> OrderImpact:
    """The preview of an order of options; a cost is positive where cash goes out, negative where it comes in."""
    sign = SIGNS.get((found.cash_change_direction or "").upper())
    change = found.estimated_cash_change
    cost = None if sign is None or change is None else abs(change) * sign
    return OrderImpact(
        cost=_money(cost, currency),
        fees=_money(found.estimated_fee_total, currency),
        provider_request_id=request_id,
    )


def _money(value: Decimal | None, code: str) -> Money | None:
    if value is None:
        return None
    return Money(amount=amount(whole(code, value)), currency=currency_code(code))


def quote(found: trading_wire.Quote, asked: Iterable[str]) -> Quote | None:
    """A quote under the symbol that was asked for; None for one nobody can place."""
    on = found.symbol
    if on is None:
        return None
    names = {ticker(on.symbol), ticker(on.raw_symbol)} - {None}
    symbol = next((one for one in asked if ticker(one) == ticker(on.symbol)), None)
    symbol = symbol or next((one for one in asked if ticker(one) in names), None)
    if symbol is None:
        return None
    code = on.currency.code if on.currency else None
    return Quote(
        symbol=symbol,
        bid=_price(found.bid_price, code),
        ask=_price(found.ask_price, code),
        last=_price(found.last_trade_price, code),
        bid_size=_size_of(found.bid_size),
        ask_size=_size_of(found.ask_size),
        currency=currency_code(code) if code else None,
    )


def _price(value: Decimal | None, code: str | None) -> Decimal | None:
    """A price in the whole currency; zero is how a missing one is often told."""
    if not value or value < 0:
        return None
    return quantity(whole(code, value) if code else value)


def _size_of(value: Decimal | None) -> Decimal | None:
    return None if value is None or value < 0 else quantity(value)


def matches(found: Iterable[wire.UniversalSymbol], text: str) -> list[SymbolMatch]:
    """What a search found, the exact symbol first, then what begins with the text, then the rest."""
    wanted = text.strip().upper()
    ranked = sorted(found, key=lambda one: _rank(one, wanted))
    return [SymbolMatch(instrument=security(one), provider_symbol_id=one.id) for one in ranked]


def exact(found: Iterable[wire.UniversalSymbol], symbol: str) -> wire.UniversalSymbol | None:
    """The one whose symbol it is, if there is exactly one."""
    same = [one for one in found if ticker(one.symbol) == ticker(symbol)]
    return same[0] if len(same) == 1 else None


def _rank(found: wire.UniversalSymbol, wanted: str) -> int:
    symbol, raw = (found.symbol or "").upper(), (found.raw_symbol or "").upper()
    if wanted in {symbol, ticker(symbol)}:
        return 0
    if wanted == raw:
        return 1
    return 2 if symbol.startswith(wanted) else 3
