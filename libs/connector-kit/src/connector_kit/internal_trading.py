"""The internal API of trading: ``POST /internal/v1/trading/{impact,place,cancel,replace,orders,symbols,quotes}``.

An answer says what is known. 200: the broker took it. 422 ``ORDER_REJECTED``, 409 ``ORDER_NOT_OPEN``: it surely did
not. Any status with ``details.sent`` false: nothing reached it. 502 ``ORDER_OUTCOME_UNKNOWN`` and everything else:
nobody knows, and the call must not be repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request, Response

from connector_kit import trading
from connector_kit.answers import answer, body
from connector_kit.background import Background
from connector_kit.engine import Engine
from connector_kit.trading import UNSENT, Named, Once, Ready
from contracts.errors import MEANING, ErrorCode, ProviderError, RefusedError, TransientError
from contracts.struct import Record
from contracts.trading import SymbolMatch
from contracts.trading_calls import (
    CancelAsked,
    CancelCall,
    ImpactCall,
    OrdersCall,
    OrdersFound,
    PlaceCall,
    QuotesCall,
    QuotesFound,
    ReplaceCall,
    SymbolsCall,
    SymbolsFound,
)
from messaging.bus import BusError
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretStoreUnavailableError
from service_kit.api_errors import ApiError

AnyCall = ImpactCall | PlaceCall | CancelCall | ReplaceCall | OrdersCall | QuotesCall
R = TypeVar("R", bound=Record)

PREPARED_WITHIN = 4.0
"""Seconds until a call leaves us; who asked has not given up by then."""
ANSWERED_WITHIN = 54.0
"""Seconds until the caller hears that nobody knows; the call itself goes on, and its end is logged."""
AWAY = (DatabaseUnavailable, BusError, SecretStoreUnavailableError)
SAID = frozenset({ErrorCode.ORDER_REJECTED, ErrorCode.ORDER_NOT_OPEN})


@dataclass(frozen=True, slots=True)
class Desk:
    """What the handlers share."""

    engine: Engine
    background: Background
    once: Once

    async def ready(self, call: AnyCall, *, to_trade: bool = False) -> Ready:
        """What the call needs; whatever fails here, nothing was sent."""
        async with _unsent():
            found = await trading.ready(
                self.engine,
                user_id=call.user_id,
                connection_id=call.connection_id,
                account_id=call.account_id,
                external_id=call.external_id,
            )
            if to_trade:
                await trading.may_trade(self.engine, call.connection_id)
            return found

    async def change(self, name: Named, call: Callable[[], Awaitable[R]]) -> R:
        """Make a call that changes something; who hangs up does not end it.

        Raises:
            ApiError: what is known of its end.
        """
        work = self.background.begin(trading.made(self.engine, name, call), f"trading {name.operation}")
        await asyncio.wait({work}, timeout=ANSWERED_WITHIN)
        if not work.done():
            raise failure(trading.lost(self.engine))
        outcome = work.result()
        if outcome.value is None:
            raise failure(outcome.error or trading.lost(self.engine))
        return outcome.value


def routes(router: APIRouter, engine: Engine, background: Background) -> None:
    """Add the routes of trading."""
    desk = Desk(engine, background, Once())
    _looking(router, desk)
    _changing(router, desk)


def _changing(router: APIRouter, desk: Desk) -> None:
    @router.post("/trading/place", summary="Place an order, once.")
    async def place(request: Request) -> Response:
        call = await body(request, PlaceCall)
        at = await desk.ready(call, to_trade=True)
        if not desk.once.first(call.client_order_id):
            raise failure(trading.lost(desk.engine))
        name = _named("place", call, client_order_id=call.client_order_id)
        return answer(
            await desk.change(
                name, lambda: at.adapter.place(at.access, at.account, call.order, call.client_order_id)
            )
        )

    @router.post("/trading/replace", summary="Replace an open order, once.")
    async def replace(request: Request) -> Response:
        call = await body(request, ReplaceCall)
        at = await desk.ready(call, to_trade=True)
        name = _named("replace", call, broker_order_id=call.broker_order_id)
        return answer(
            await desk.change(
                name, lambda: at.adapter.replace(at.access, at.account, call.broker_order_id, call.order)
            )
        )

    @router.post("/trading/cancel", summary="Ask to cancel an order, once.")
    async def cancel(request: Request) -> Response:
        call = await body(request, CancelCall)
        at = await desk.ready(call)

        async def ask() -> CancelAsked:
            await at.adapter.cancel(at.access, at.account, call.broker_order_id)
            return CancelAsked()

        return answer(await desk.change(_named("cancel", call, broker_order_id=call.broker_order_id), ask))


def _looking(router: APIRouter, desk: Desk) -> None:
    @router.post("/trading/impact", summary="The broker's preview of an order.")
    async def impact(request: Request) -> Response:
        call = await body(request, ImpactCall)
        at = await desk.ready(call, to_trade=True)
        try:
            return answer(await at.adapter.impact(at.access, at.account, call.order))
        except RefusedError as error:
            if error.code not in SAID:
                raise
            raise failure(error) from error

    @router.post("/trading/orders", summary="The orders of the last day, as the broker has them now.")
    async def orders(request: Request) -> Response:
        at = await desk.ready(await body(request, OrdersCall))
        return answer(OrdersFound(orders=await at.adapter.recent_orders(at.access, at.account)))

    @router.post("/trading/quotes", summary="Quotes of up to ten symbols.")
    async def quotes(request: Request) -> Response:
        call = await body(request, QuotesCall)
        at = await desk.ready(call)
        return answer(QuotesFound(quotes=await at.adapter.quotes(at.access, at.account, call.symbols)))

    @router.post("/trading/symbols", summary="Search instruments.")
    async def symbols(request: Request) -> Response:
        return answer(SymbolsFound(symbols=await _search(desk.engine, await body(request, SymbolsCall))))


async def _search(engine: Engine, call: SymbolsCall) -> list[SymbolMatch]:
    if call.connection_id is None or call.account_id is None:
        return await trading.trader(engine).search_symbols(None, None, call.text)
    at = await trading.ready(
        engine,
        user_id=call.user_id,
        connection_id=call.connection_id,
        account_id=call.account_id,
        external_id=call.external_id,
    )
    found = await at.adapter.search_symbols(at.access, at.account, call.text)
    names = [one.instrument.symbol or one.instrument.key for one in found]
    known = await trading.flags(engine, at.institution_ref, names)
    return [_flagged(one, known.get(name)) for one, name in zip(found, names, strict=True)]


def _flagged(found: SymbolMatch, known: dict[str, Any] | None) -> SymbolMatch:
    """A match with what the catalogue knows of it, where the search itself did not say."""
    if known is None:
        return found
    told = {name: known[name] for name in ("tradable", "fractional") if getattr(found, name) is None}
    return msgspec.structs.replace(found, **told)


@asynccontextmanager
async def _unsent() -> AsyncIterator[None]:
    """Whatever fails inside, the caller hears that nothing was sent."""
    try:
        async with asyncio.timeout(PREPARED_WITHIN):
            yield
    except ApiError as error:
        details = {**(error.details or {}), **UNSENT}
        raise ApiError(error.code, error.status, error.message, details, error.headers) from error
    except ProviderError as error:
        raise failure(error, unsent=True) from error
    except (*AWAY, TimeoutError) as error:
        details = {**UNSENT, "cause": type(error).__name__}
        message = MEANING[ErrorCode.UNAVAILABLE].meaning
        raise ApiError(ErrorCode.UNAVAILABLE, 503, message, details, {"Retry-After": "5"}) from error


def failure(error: ProviderError, *, unsent: bool = False) -> ApiError:
    """How an end other than success is told; ``unsent``: it came before anything could be sent."""
    details: dict[str, Any] = {
        "provider": error.provider,
        "provider_code": error.provider_code,
        "provider_request_id": error.provider_request_id,
    }
    headers = {}
    code, status = ErrorCode.ORDER_OUTCOME_UNKNOWN, MEANING[ErrorCode.ORDER_OUTCOME_UNKNOWN].status
    if isinstance(error, TransientError):
        code, status = error.code, 503
        details |= UNSENT
        headers = {"Retry-After": str(max(1, round(error.wait or 1)))}
    elif unsent:
        code, status = error.code, MEANING[error.code].status
        details |= UNSENT
    elif isinstance(error, RefusedError):
        code = error.code if error.code in SAID else ErrorCode.ORDER_REJECTED
        status = MEANING[code].status
        details |= {"broker_message": error.message, "reason": None if error.code is code else error.code}
    known = {name: value for name, value in details.items() if value is not None}
    return ApiError(code, status, error.message, known, headers)


def _named(operation: str, call: PlaceCall | ReplaceCall | CancelCall, **more: str) -> Named:
    return Named(operation, call.user_id, call.connection_id, call.account_id, more)
