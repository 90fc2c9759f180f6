"""The trading side of the SnapTrade adapter: previews, placements, cancels, replacements, symbols and quotes."""

import asyncio
import unicodedata
from abc import ABC, abstractmethod

import httpx

from contracts.errors import ErrorCode, GoneError, RefusedError
from contracts.instruments import occ_symbol, ticker
from contracts.linking import ConnectionAccess, UserAccess
from contracts.money import InexactNumberError
from contracts.orders import Order
from contracts.trading import AccountRef, OrderImpact, OrderRequest, Placed, Quote, SymbolMatch
from snaptrade_connector import orders, outcomes, trading_bodies, trading_mapping, wire
from snaptrade_connector.errors import protocol_error
from snaptrade_connector.trading_client import TradingClient

MOST_QUOTES = 10
LOOKED_UP_WITHIN = 3.0
"""Seconds to find out what an id stands for; an order that has to wait longer is not sent at all."""
FALL_BACK = frozenset({httpx.codes.FORBIDDEN, httpx.codes.NOT_IMPLEMENTED})


class Trading(ABC):
    """Serves ``Trades`` and ``SearchesSymbols``; part of the adapter, which gives the client and names the user."""

    _trading: TradingClient

    @abstractmethod
    def _named(self, user: UserAccess | None) -> UserAccess | None:
        """Whom a call names."""

    async def impact(
        self, connection: ConnectionAccess, account: AccountRef, order: OrderRequest
    ) -> OrderImpact:
        """The broker's own preview, where SnapTrade has one; it places nothing.

        Raises:
            RefusedError: ``NOT_SUPPORTED``, there is none; ``ORDER_REJECTED``, the broker would refuse the order.
        """
        user = self._named(connection.user)
        try:
            if order.legs:
                body = trading_bodies.combination(order)
                shown = await self._trading.options_impact(user, account.external_id, body)
                return trading_mapping.options_impact(shown.value, order.currency, shown.request_id)
            trading_bodies.preview(account.external_id, order, "")
            body = trading_bodies.preview(
                account.external_id, order, await self._symbol_id(user, account, order)
            )
            told = await self._trading.impact(user, body)
            return trading_mapping.impact(told.value, order.currency, told.request_id)
        except GoneError as error:
            raise outcomes.account_gone(error) from error
        except InexactNumberError as error:
            raise protocol_error(f"a preview cannot be kept: {error}") from error

    async def place(
        self, connection: ConnectionAccess, account: AccountRef, order: OrderRequest, client_order_id: str
    ) -> Placed:
        """Place the order, once: shares with ``client_order_id``, options (which have none) as a combination.

        Raises:
            TransientError: nothing was sent, or SnapTrade's limit turned it away.
            RefusedError: ``ORDER_REJECTED``, in the broker's words.
            OutcomeUnknownError: ``ORDER_OUTCOME_UNKNOWN``, in every other case.
        """
        user = self._named(connection.user)
        if order.legs:
            body = trading_bodies.combination(order)
            made = await self._trading.place_options(user, account.external_id, body)
            return _placed(account, made.value.brokerage_order_id, made.value.orders, made.request_id)
        body = trading_bodies.placement(account.external_id, order, client_order_id)
        if order.provider_symbol_id is not None:
            await self._same_instrument(order)
        told = await self._trading.place(user, body)
        return _placed(account, told.value.brokerage_order_id, [told.value], told.request_id)

    async def cancel(self, connection: ConnectionAccess, account: AccountRef, broker_order_id: str) -> None:
        """Ask once to cancel an order; errors as of ``place``, ``ORDER_NOT_OPEN`` where it is closed."""
        order_id = trading_bodies.order_id(broker_order_id)
        await self._trading.cancel(self._named(connection.user), account.external_id, order_id)

    async def replace(
        self, connection: ConnectionAccess, account: AccountRef, broker_order_id: str, order: OrderRequest
    ) -> Placed:
        """Replace an open order once; errors as of ``cancel``."""
        body = trading_bodies.replacement(broker_order_id, order)
        told = await self._trading.replace(self._named(connection.user), account.external_id, body)
        return _placed(account, told.value.brokerage_order_id, [told.value], told.request_id)

    async def recent_orders(self, connection: ConnectionAccess, account: AccountRef) -> list[Order]:
        """The orders of the last day: live, or from SnapTrade's cache where the key or the broker has no live list."""
        user = self._named(connection.user)
        try:
            return orders.orders(account, await self._recent(user, account.external_id))
        except GoneError as error:
            raise outcomes.account_gone(error) from error

    async def search_symbols(
        self, connection: ConnectionAccess | None, account: AccountRef | None, text: str
    ) -> list[SymbolMatch]:
        """What matches a ticker or a name, the exact symbol first; what an account's broker supports, if it is given."""
        wanted = _plain(text)
        if not wanted:
            return []
        return trading_mapping.matches(await self._found(connection, account, wanted), wanted)

    async def quotes(
        self, connection: ConnectionAccess, account: AccountRef, symbols: list[str]
    ) -> list[Quote]:
        """Quotes of up to ten tickers, as the broker has them; options have none.

        Raises:
            RefusedError: ``VALIDATION_FAILED``, more than ten.
        """
        wanted = [one for one in dict.fromkeys(symbols) if ticker(one) and occ_symbol(one) is None]
        if len(wanted) > MOST_QUOTES:
            raise outcomes.refused("quotes are given for ten symbols at once", ErrorCode.VALIDATION_FAILED)
        if not wanted:
            return []
        user, asked = self._named(connection.user), [ticker(one) or one for one in wanted]
        try:
            found = await self._trading.quotes(user, account.external_id, asked)
            quoted = [trading_mapping.quote(one, wanted) for one in found]
        except GoneError as error:
            raise outcomes.account_gone(error) from error
        except InexactNumberError as error:
            raise protocol_error(f"a quote cannot be kept: {error}") from error
        return list({one.symbol: one for one in reversed(quoted) if one is not None}.values())[::-1]

    async def _found(
        self, connection: ConnectionAccess | None, account: AccountRef | None, text: str
    ) -> list[wire.UniversalSymbol]:
        if connection is None or account is None:
            return await self._trading.symbols(text)
        try:
            user = self._named(connection.user)
            return await self._trading.account_symbols(user, account.external_id, text)
        except GoneError as error:
            raise outcomes.account_gone(error) from error

    async def _recent(self, user: UserAccess | None, account: str) -> list[wire.OrderRecord]:
        try:
            return await self._trading.recent_orders(user, account)
        except RefusedError as error:
            if error.code is not ErrorCode.NOT_SUPPORTED or error.status not in FALL_BACK:
                raise
        return await self._trading.cached_orders(user, account)

    async def _symbol_id(self, user: UserAccess | None, account: AccountRef, order: OrderRequest) -> str:
        """SnapTrade's id of the instrument, without which it previews nothing."""
        if order.provider_symbol_id is not None:
            await self._same_instrument(order)
            return order.provider_symbol_id
        found = await self._trading.account_symbols(user, account.external_id, order.symbol)
        exact = trading_mapping.exact(found, order.symbol)
        if exact is None:
            raise outcomes.refused("SnapTrade does not know the symbol", ErrorCode.NOT_SUPPORTED)
        return exact.id

    async def _same_instrument(self, order: OrderRequest) -> None:
        """Refuse an id that stands for something other than the symbol: everything was checked by the symbol."""
        try:
            async with asyncio.timeout(LOOKED_UP_WITHIN):
                symbol = await self._trading.symbol_of(order.provider_symbol_id or "")
        except (GoneError, RefusedError) as error:
            raise outcomes.refused("SnapTrade does not know the instrument") from error
        except TimeoutError as error:
            raise outcomes.unsent(ErrorCode.TIMEOUT) from error
        if ticker(symbol) != ticker(order.symbol):
            raise outcomes.refused("the instrument's id is that of another symbol")


def _placed(
    account: AccountRef, order_id: str, records: list[wire.OrderRecord], request_id: str | None
) -> Placed:
    """What was placed, under the ids that the list of orders will have."""
    made = orders.orders(account, records)
    ids = [one.broker_order_id for one in made] or [order_id]
    return Placed(broker_order_ids=ids, orders=made, provider_request_id=request_id)


def _plain(text: str) -> str:
    """A search without letters that SnapTrade's own libraries sign in different ways."""
    folded = unicodedata.normalize("NFKD", text)
    return " ".join(folded.encode("ascii", "ignore").decode().split())[:100]
