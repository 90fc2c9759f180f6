"""Finds what can be traded, by SnapTrade's id, by ticker or by OCC symbol; unknown options are listed on demand."""

import re
from datetime import date
from decimal import Decimal

from provider_sandbox.snaptrade.identifiers import stable_id
from provider_sandbox.world import OptionTerms, Security, World

TRADABLE = frozenset({"stock", "adr", "etf", "cef", "option"})
_OCC = re.compile(r"([A-Z.]{1,6}) *(\d{2})(\d{2})(\d{2})([CP])(\d{8})")
_TIME_VALUE = Decimal("0.02")
_LEAST = Decimal("0.05")


class Instruments:
    """Look-up over the securities of a world; remembers the ids it has worked out."""

    def __init__(self) -> None:
        self._by_id: dict[str, str] = {}
        self._by_symbol: dict[str, str] = {}
        self._known = 0

    def by_id(self, world: World, universal_symbol_id: str) -> Security | None:
        """Find by universal symbol id."""
        self._learn(world)
        key = self._by_id.get(universal_symbol_id)
        return None if key is None else world.securities.get(key)

    def by_symbol(self, world: World, symbol: str) -> Security | None:
        """Find by ticker with exchange suffix, or by OCC symbol with or without its spaces."""
        self._learn(world)
        key = self._by_symbol.get(_plain(symbol))
        return world.securities.get(key) if key is not None else self._listed_option(world, symbol)

    def _learn(self, world: World) -> None:
        if self._known == len(world.securities):
            return
        for key, security in world.securities.items():
            self._by_id.setdefault(stable_id("security", key), key)
            if security.symbol is not None and security.kind in TRADABLE:
                self._by_symbol.setdefault(_plain(security.symbol), key)
        self._known = len(world.securities)

    def _listed_option(self, world: World, symbol: str) -> Security | None:
        """An option of a known stock or fund comes into being when somebody names it."""
        match = _OCC.fullmatch(symbol.upper())
        if match is None:
            return None
        underlying = self.by_symbol(world, match[1])
        try:
            expiry = date(2000 + int(match[2]), int(match[3]), int(match[4]))
        except ValueError:
            return None
        if underlying is None or underlying.price is None or underlying.option is not None:
            return None
        made = _option(underlying, underlying.price, expiry, match[5], Decimal(match[6]) / 1000)
        world.securities.setdefault(made.key, made)
        world.version += 1
        return world.securities[made.key]


def _plain(symbol: str) -> str:
    return symbol.upper().replace(" ", "")


def _option(underlying: Security, spot: Decimal, expiry: date, letter: str, strike: Decimal) -> Security:
    intrinsic = max(spot - strike if letter == "C" else strike - spot, Decimal(0))
    price = max((intrinsic + spot * _TIME_VALUE).quantize(Decimal("0.01")), _LEAST)
    symbol = f"{underlying.symbol:<6}{expiry:%y%m%d}{letter}{int(strike * 1000):08d}"
    side = "CALL" if letter == "C" else "PUT"
    return Security(
        key=_plain(symbol),
        kind="option",
        name=f"{underlying.symbol} {expiry:%b %d %Y} {strike} {side.title()}",
        symbol=symbol,
        raw_symbol=symbol,
        currency=underlying.currency,
        mic="OPRA",
        price=price,
        option=OptionTerms("CALL" if letter == "C" else "PUT", strike, expiry, Decimal(100), underlying.key),
    )
