"""The symbols of activities and orders as instruments, with the keys that positions have. Pure."""

from decimal import Decimal

from contracts.instruments import Instrument, crypto_key, ticker
from snaptrade_connector import wire
from snaptrade_connector.instruments import PROVIDER, from_wire

_KINDS: dict[str, str] = {
    "ad": "adr",
    "bnd": "bond",
    "cef": "cef",
    "crypto": "crypto",
    "cs": "stock",
    "et": "etf",
    "oef": "mutualfund",
    "ps": "stock",
}
"""SnapTrade's codes of security types as kinds of positions; any other reads as ``other``."""

_SHARES = Decimal(100)
_MINI_SHARES = Decimal(10)


def security(found: wire.UniversalSymbol) -> Instrument:
    """The instrument a universal symbol names."""
    exchange = found.exchange or wire.Exchange()
    figi = found.figi_instrument or wire.Figi(figi_code=found.figi_code)
    return from_wire(
        wire.Instrument(
            kind=_KINDS.get((found.type or wire.SymbolType()).code or "", "other"),
            id=found.id,
            symbol=found.symbol,
            raw_symbol=found.raw_symbol,
            description=found.description,
            currency=found.currency.code if found.currency else None,
            exchange=exchange.mic_code or exchange.code,
            figi_instrument=figi,
        )
    )


def option(found: wire.OptionsSymbol) -> Instrument:
    """The instrument an option symbol names; a mini option is on ten shares."""
    on = found.underlying_symbol
    underlying = None
    if on is not None:
        currency = on.currency.code if on.currency else None
        underlying = wire.Underlying(symbol=on.symbol, raw_symbol=on.raw_symbol, currency=currency)
    return from_wire(
        wire.Instrument(
            kind="option",
            id=found.id,
            symbol=found.ticker,
            multiplier=_MINI_SHARES if found.is_mini_option else _SHARES,
            option_type=found.option_type,
            strike_price=found.strike_price,
            expiration_date=found.expiration_date,
            underlying=underlying,
        )
    )


def instrument(symbol: wire.UniversalSymbol | None, contract: wire.OptionsSymbol | None) -> Instrument | None:
    """The instrument of an activity or order: at most one of the two is given."""
    if contract is not None:
        return option(contract)
    return security(symbol) if symbol is not None else None


def currency_of(symbol: wire.UniversalSymbol | None, contract: wire.OptionsSymbol | None) -> str | None:
    """The code of the currency that a security, or what an option is on, is listed in."""
    listed = contract.underlying_symbol if contract is not None else symbol
    return listed.currency.code if listed is not None and listed.currency is not None else None


def coin(found: wire.UniversalSymbol) -> str:
    """The code of a crypto asset that something is paid in."""
    named = ticker(found.symbol or found.raw_symbol)
    return crypto_key(named).partition(":")[2] if named else f"{PROVIDER}:{found.id}"
