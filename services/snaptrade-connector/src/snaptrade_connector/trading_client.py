"""SnapTrade's endpoints of trading. What changes something is sent exactly once, over a connection of its own.

Nothing here is ever repeated, by nobody: not the client, not its transport, not who calls.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from contracts.errors import ProviderError
from contracts.linking import UserAccess
from snaptrade_connector import outcomes, trading_wire, wire
from snaptrade_connector.client import SnapTradeClient, decoded, joined, named
from snaptrade_connector.errors import normalize_snaptrade_error, unanswered


class HasOrderId(Protocol):
    """An answer that names an order."""

    @property
    def brokerage_order_id(self) -> str:
        """The broker's id of it."""
        ...


T = TypeVar("T")
Named = TypeVar("Named", bound=HasOrderId)
Body = Mapping[str, Any]

RECENT_DAYS = 1
KEPT_SYMBOLS = 4096

_PLACED = msgspec.json.Decoder(wire.OrderRecord)
_COMBINATION = msgspec.json.Decoder(trading_wire.Combination)
_CANCELLED = msgspec.json.Decoder(trading_wire.Cancelled)
_IMPACT = msgspec.json.Decoder(trading_wire.Impact)
_OPTION_IMPACT = msgspec.json.Decoder(trading_wire.OptionImpact)
_RECENT = msgspec.json.Decoder(trading_wire.RecentOrders)
_SYMBOLS = msgspec.json.Decoder(list[wire.UniversalSymbol])
_SYMBOL = msgspec.json.Decoder(wire.UniversalSymbol)
_QUOTES = msgspec.json.Decoder(list[trading_wire.Quote])


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What was answered, and the id of the request at SnapTrade."""

    value: T
    request_id: str | None


class TradingClient:
    """Calls SnapTrade's trading endpoints through the client of all others."""

    def __init__(self, client: SnapTradeClient) -> None:
        self._client = client
        self._symbols: OrderedDict[str, str | None] = OrderedDict()

    async def place(self, user: UserAccess | None, body: Body) -> "Told[wire.OrderRecord]":
        """``POST /trade/place``: an order of shares, once.

        Raises:
            TransientError: nothing was placed.
            RefusedError: SnapTrade or the broker refused it (``ORDER_REJECTED``).
            OutcomeUnknownError: it may be placed (``ORDER_OUTCOME_UNKNOWN``).
        """
        return await self._once("/trade/place", user, "", body, _PLACED)

    async def place_options(
        self, user: UserAccess | None, account: str, body: Body
    ) -> "Told[trading_wire.Combination]":
        """``POST /accounts/{accountId}/trading/options``: an order of options, once; errors as of ``place``."""
        return await self._once("/accounts/{id}/trading/options", user, account, body, _COMBINATION)

    async def replace(self, user: UserAccess | None, account: str, body: Body) -> "Told[wire.OrderRecord]":
        """``POST /accounts/{accountId}/trading/replace``, once; the id may change. Errors as of ``place``."""
        return await self._once(
            "/accounts/{id}/trading/replace", user, account, body, _PLACED, of_open_order=True
        )

    async def cancel(
        self, user: UserAccess | None, account: str, order_id: str
    ) -> "Told[trading_wire.Cancelled]":
        """``POST /accounts/{accountId}/trading/cancel``, once; errors as of ``place``."""
        body = {"brokerage_order_id": order_id}
        return await self._once(
            "/accounts/{id}/trading/cancel", user, account, body, _CANCELLED, of_open_order=True
        )

    async def impact(self, user: UserAccess | None, body: Body) -> "Told[trading_wire.Impact]":
        """``POST /trade/impact``: what an order of shares would cost; it places nothing.

        Raises:
            ProviderError: as any reading call; a 400 is what ``outcomes`` makes of it.
        """
        return await self._preview("/trade/impact", user, "", body, _IMPACT)

    async def options_impact(
        self, user: UserAccess | None, account: str, body: Body
    ) -> "Told[trading_wire.OptionImpact]":
        """``POST /accounts/{accountId}/trading/options/impact``; errors as of ``impact``."""
        template = "/accounts/{id}/trading/options/impact"
        return await self._preview(template, user, account, body, _OPTION_IMPACT)

    async def recent_orders(self, user: UserAccess | None, account: str) -> list[wire.OrderRecord]:
        """``GET /accounts/{accountId}/recentOrders``: every order of the last day, live, on one page."""
        query = joined("only_executed=false", named(user))
        answer = await self._read("GET", "/accounts/{id}/recentOrders", query, account)
        return decoded(_RECENT, answer).orders

    async def cached_orders(self, user: UserAccess | None, account: str) -> list[wire.OrderRecord]:
        """``GET /accounts/{accountId}/orders``: of the last day, as SnapTrade last read them."""
        return await self._client.orders(user, account, RECENT_DAYS)

    async def symbols(self, text: str) -> list[wire.UniversalSymbol]:
        """``POST /symbols``: at most twenty that match ticker or name, in no order to rely on."""
        return decoded(_SYMBOLS, await self._read("POST", "/symbols", "", "", {"substring": text}))

    async def account_symbols(
        self, user: UserAccess | None, account: str, text: str
    ) -> list[wire.UniversalSymbol]:
        """``POST /accounts/{accountId}/symbols``: of those the account's broker supports."""
        body = {"substring": text}
        return decoded(
            _SYMBOLS, await self._read("POST", "/accounts/{id}/symbols", named(user), account, body)
        )

    async def symbol_of(self, symbol_id: str) -> str | None:
        """``GET /symbols/{query}``: the symbol that a universal symbol id stands for; it never changes, so it is kept."""
        if symbol_id not in self._symbols:
            answer = await self._read("GET", "/symbols/{id}", "", symbol_id)
            self._symbols[symbol_id] = decoded(_SYMBOL, answer).symbol
            if len(self._symbols) > KEPT_SYMBOLS:
                self._symbols.popitem(last=False)
        return self._symbols[symbol_id]

    async def quotes(
        self, user: UserAccess | None, account: str, symbols: list[str]
    ) -> list[trading_wire.Quote]:
        """``GET /accounts/{accountId}/quotes``: of up to ten tickers; unknown ones are left out."""
        wanted = f"symbols={quote(','.join(symbols), safe='')}&use_ticker=true"
        answer = await self._read("GET", "/accounts/{id}/quotes", joined(wanted, named(user)), account)
        return decoded(_QUOTES, answer)

    async def _once(
        self,
        template: str,
        user: UserAccess | None,
        subject: str,
        body: Body,
        decoder: "msgspec.json.Decoder[Named]",
        *,
        of_open_order: bool = False,
    ) -> "Told[Named]":
        """Send what changes something; whatever is not for sure "not done" is unknown."""
        try:
            answer = await self._client.exchange("POST", template, named(user), subject, body, once=True)
        except httpx.RequestError as error:
            raise outcomes.unanswered(error) from None
        request_id = answer.headers.get("X-Request-ID")
        if not answer.is_success:
            raise outcomes.answered(
                answer.status_code,
                answer.headers,
                answer.content,
                hide=_hidden(user),
                of_open_order=of_open_order,
            )
        try:
            told = Told(decoded(decoder, answer), request_id)
        except ProviderError as error:
            raise outcomes.unreadable(request_id, answer.status_code) from error
        if not told.value.brokerage_order_id.strip():
            raise outcomes.unreadable(request_id, answer.status_code)
        return told

    async def _preview(
        self,
        template: str,
        user: UserAccess | None,
        subject: str,
        body: Body,
        decoder: "msgspec.json.Decoder[T]",
    ) -> "Told[T]":
        answer = await self._answer("POST", template, named(user), subject, body)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise outcomes.preview_refused(answer.headers, answer.content, hide=_hidden(user))
        return Told(decoded(decoder, _good(answer)), answer.headers.get("X-Request-ID"))

    async def _read(
        self, method: str, template: str, query: str, subject: str, body: Body | None = None
    ) -> httpx.Response:
        return _good(await self._answer(method, template, query, subject, body))

    async def _answer(
        self, method: str, template: str, query: str, subject: str, body: Body | None
    ) -> httpx.Response:
        try:
            return await self._client.exchange(method, template, query, subject, body)
        except httpx.RequestError as error:
            raise unanswered(error, repeatable=True) from None


def _good(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise normalize_snaptrade_error(answer.status_code, answer.headers, answer.content)
    return answer


def _hidden(user: UserAccess | None) -> tuple[str, ...]:
    return (user.external_user_id, user.secret or "") if user else ()
