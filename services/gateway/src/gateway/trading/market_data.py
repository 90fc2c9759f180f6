"""Symbols and quotes, asked of a connector and remembered for a short while.

Quotes of brokers are no market data: whoever polls them for prices loses their key, so a quote is kept for seconds.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from contracts.errors import ErrorCode
from contracts.trading import Quote, SymbolMatch
from contracts.trading_calls import QuotesCall, SymbolsCall
from gateway.clients.trading import TradingReads
from gateway.refusals import refusal
from gateway.routing.choose import TRADING_PROVIDERS
from gateway.trading.values import Account
from service_kit.clock import Clock

V = TypeVar("V")
QUOTES_KEPT, SYMBOLS_KEPT = timedelta(seconds=5), timedelta(minutes=10)
REMEMBERED = 4096


class Remembered(Generic[V]):
    """Values by key for a while; the oldest go when there are too many."""

    def __init__(self, kept: timedelta, clock: Clock, most: int = REMEMBERED) -> None:
        self._kept, self._clock, self._most = kept, clock, most
        self._values: OrderedDict[tuple[str, ...], tuple[datetime, V]] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> V | None:
        """What is remembered and still good."""
        found = self._values.get(key)
        return found[1] if found is not None and self._clock.now() - found[0] < self._kept else None

    def put(self, key: tuple[str, ...], value: V) -> None:
        """Remember a value from now on."""
        self._values[key] = (self._clock.now(), value)
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)


class MarketData:
    """Symbols and quotes of accounts' brokers; ``reads`` is the connectors' client."""

    def __init__(self, reads: TradingReads, clock: Clock) -> None:
        self.reads = reads
        self._quotes: Remembered[Quote] = Remembered(QUOTES_KEPT, clock)
        self._symbols: Remembered[list[SymbolMatch]] = Remembered(SYMBOLS_KEPT, clock)

    async def symbols(
        self, user_id: str, provider: str, text: str, account: Account | None
    ) -> list[SymbolMatch]:
        """What matches, best first: at the account's broker, or all that the provider knows.

        Raises:
            ApiError: the connector or its provider does not answer.
        """
        key = (provider, "" if account is None else str(account.account_id), text.casefold())
        known = self._symbols.get(key)
        if known is not None:
            return known
        call = SymbolsCall(
            user_id=user_id,
            text=text,
            connection_id=None if account is None else str(account.connection_id),
            account_id=None if account is None else str(account.account_id),
            external_id=None if account is None else account.external_id,
        )
        found = await self.reads.symbols(provider, call)
        self._symbols.put(key, found)
        return found

    async def quotes(
        self, user_id: str, account: Account, symbols: Sequence[str], *, fresh: bool = False
    ) -> dict[str, Quote]:
        """Quotes by symbol; one that is not quoted is left out. ``fresh`` asks although one is remembered.

        Raises:
            ApiError: the connector or its provider does not answer.
        """
        keys = {symbol: (str(account.account_id), symbol) for symbol in symbols}
        known: dict[str, Quote | None] = {}
        if not fresh:
            known = {symbol: self._quotes.get(key) for symbol, key in keys.items()}
        missing = [symbol for symbol in symbols if known.get(symbol) is None]
        if missing:
            call = QuotesCall(
                user_id=user_id,
                connection_id=str(account.connection_id),
                account_id=str(account.account_id),
                external_id=account.external_id,
                symbols=missing,
            )
            for quote in await self.reads.quotes(account.provider, call):
                if quote.symbol in keys:
                    self._quotes.put(keys[quote.symbol], quote)
                    known[quote.symbol] = quote
        return {symbol: found for symbol in symbols if (found := known.get(symbol)) is not None}


def searches(provider: str, account_id: UUID) -> None:
    """Refuse to ask a provider that knows no symbols.

    Raises:
        ApiError: 409 ``TRADING_NOT_SUPPORTED``.
    """
    if provider not in TRADING_PROVIDERS:
        details = {"reason": "provider", "provider": provider, "account_id": str(account_id)}
        message = "This account's provider has no symbols and no quotes."
        raise refusal(ErrorCode.TRADING_NOT_SUPPORTED, message, details=details)
