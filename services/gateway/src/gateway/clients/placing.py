"""The client that places, cancels and replaces. It sends once: no layer of it retries, and no connection is used twice.

A connection that was idle may be closed at the very moment a request is written to it, and then nobody can say whether
the request arrived; therefore every call has a fresh one. Reads of a broker's orders go through a client of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import httpx
import msgspec
import structlog

from contracts.errors import ErrorCode
from contracts.orders import Order
from contracts.struct import Record
from contracts.trading import Placed
from contracts.trading_calls import CancelAsked, CancelCall, OrdersCall, OrdersFound, PlaceCall, ReplaceCall
from gateway.clients.connectors import ISSUER
from gateway.clients.trading import passed_on, unavailable
from service_kit.auth import ServiceAuth
from service_kit.clock import Clock
from service_kit.http_client import (
    OPERATION,
    Limits,
    OutboundClient,
    TargetRefused,
    deadline,
    outbound_client,
)
from service_kit.metrics import Metrics
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

ANSWER_BYTES = 1024 * 1024
ONCE = Limits(
    connect=2.0, read=20.0, pool=2.0, total=20.0, connections=50, keepalive=0.0, response_bytes=ANSWER_BYTES
)
LISTING = Limits(connect=2.0, read=6.0, pool=2.0, total=6.0, response_bytes=8 * ANSWER_BYTES)
FRESH = {"Content-Type": "application/json", "Connection": "close"}
_ENCODER = msgspec.json.Encoder(decimal_format="string")

BEFORE_ANY_BYTE = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    TargetRefused,
)
"""Failures of which it is certain that nothing was sent."""
REFUSALS = frozenset(
    {
        ErrorCode.ORDER_REJECTED,
        ErrorCode.ORDER_NOT_OPEN,
        ErrorCode.NOT_SUPPORTED,
        ErrorCode.TRADING_NOT_SUPPORTED,
        ErrorCode.ACCOUNT_NOT_TRADABLE,
        ErrorCode.INSUFFICIENT_BUYING_POWER,
        ErrorCode.INSUFFICIENT_QUANTITY,
    }
)
"""Codes by which a connector says that the broker did not do it, and will not."""
TURNED_AWAY = frozenset(
    {
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.METHOD_NOT_ALLOWED,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.CONNECTION_BROKEN,
        ErrorCode.CONNECTION_GONE,
    }
)
"""Codes by which a connector says that it has sent nothing."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is done, or asked for, at the broker."""

    broker_order_ids: tuple[str, ...] = ()
    provider_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker surely did not do it, and said why."""

    code: ErrorCode
    message: str
    provider_code: str | None = None
    provider_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unsent:
    """It surely never left for the broker."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows what became of it."""

    reason: str
    provider_request_id: str | None = None


Outcome = Accepted | Refused | Unsent | Lost


class Placing(Protocol):
    """What changes orders at brokers, each call sent at most once, and the list that tells what became of them."""

    async def place(self, provider: str, call: PlaceCall) -> Outcome:
        """Place an order. An exception leaves its fate as unknown as ``Lost``."""
        ...

    async def cancel(self, provider: str, call: CancelCall) -> Outcome:
        """Ask to cancel an order."""
        ...

    async def replace(self, provider: str, call: ReplaceCall) -> Outcome:
        """Replace an open order."""
        ...

    async def orders(self, provider: str, call: OrdersCall) -> list[Order]:
        """The account's orders of the last day, as the broker has them right now.

        Raises:
            ApiError: the connector or its provider does not answer.
        """
        ...


class HttpPlacing:
    """Placing over HTTP; ``once`` are clients that send once, ``listing`` those that only read (by provider)."""

    def __init__(self, once: Mapping[str, OutboundClient], listing: Mapping[str, OutboundClient]) -> None:
        self._once = once
        self._listing = listing

    async def place(self, provider: str, call: PlaceCall) -> Outcome:
        """Place an order, once."""
        return await self._send(provider, "place", call)

    async def cancel(self, provider: str, call: CancelCall) -> Outcome:
        """Ask once to cancel an order."""
        return await self._send(provider, "cancel", call)

    async def replace(self, provider: str, call: ReplaceCall) -> Outcome:
        """Replace an open order, once."""
        return await self._send(provider, "replace", call)

    async def orders(self, provider: str, call: OrdersCall) -> list[Order]:
        """The account's orders of the last day."""
        client = self._listing.get(provider)
        if client is None:
            raise unavailable(provider)
        try:
            async with deadline(LISTING.total):
                answer = await client.post(
                    "/internal/v1/trading/orders",
                    content=_ENCODER.encode(call),
                    headers={"Content-Type": "application/json"},
                    extensions={OPERATION: "POST /trading/orders"},
                )
        except httpx.HTTPError as error:
            log.warning("connector.unreachable", provider=provider, error=type(error).__name__)
            raise unavailable(provider) from error
        if not answer.is_success:
            raise passed_on(provider, answer)
        try:
            return msgspec.json.decode(answer.content, type=OrdersFound).orders
        except msgspec.DecodeError as error:
            # The text of the error can repeat what was sent.
            log.error("connector.unreadable", provider=provider)  # noqa: TRY400 - see above
            raise unavailable(provider) from error

    async def aclose(self) -> None:
        """Close all connections."""
        for client in (*self._once.values(), *self._listing.values()):
            await client.aclose()

    async def _send(self, provider: str, what: str, call: Record) -> Outcome:
        client = self._once.get(provider)
        if client is None:
            return Unsent(ErrorCode.PROVIDER_DISABLED, "There is no connector for this provider.")
        try:
            answer = await client.post(
                f"/internal/v1/trading/{what}",
                content=_ENCODER.encode(call),
                headers=FRESH,
                extensions={OPERATION: f"POST /trading/{what}"},
            )
        except BEFORE_ANY_BYTE as error:
            log.warning("placing.not_sent", provider=provider, what=what, error=type(error).__name__)
            return Unsent(ErrorCode.PROVIDER_UNAVAILABLE, "The provider's connector is out of reach.")
        except httpx.HTTPError as error:
            log.warning("placing.lost", provider=provider, what=what, error=type(error).__name__)
            return Lost(type(error).__name__)
        return judged(answer.status_code, answer.content, cancel=what == "cancel")


def judged(status: int, body: bytes, *, cancel: bool = False) -> Outcome:
    """What a connector's answer means for the order. Pure; whatever leaves a doubt is ``Lost``."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return _done(body, cancel=cancel)
    error = _error_of(body)
    code, details = str(error.get("code")), error.get("details")
    told: dict[str, Any] = details if isinstance(details, dict) else {}
    request_id = _text(told.get("provider_request_id"))
    message = _text(error.get("message"), 300) or "The provider refused it."
    known = ErrorCode(code) if code in ErrorCode.__members__ else None
    if known is not None and told.get("sent") is False:
        return Unsent(known, message)
    if known is None or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Lost(f"answered {status} {code[:64]}", request_id)
    if known in REFUSALS:
        return Refused(known, message, _text(told.get("provider_code")), request_id)
    if known in TURNED_AWAY:
        return Unsent(known, message)
    return Lost(f"answered {status} {code[:64]}", request_id)


def http_placing(
    settings: ServiceSettings,
    urls: Mapping[str, str],
    metrics: Metrics,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
) -> HttpPlacing:
    """Clients of the connectors at these internal addresses (provider → URL)."""

    def client(provider: str, url: str, limits: Limits) -> OutboundClient:
        return outbound_client(
            f"{provider}-connector",
            url,
            metrics,
            limits=limits,
            auth=ServiceAuth(
                settings.service_auth_secret, issuer=ISSUER, audience=f"{provider}-connector", clock=clock
            ),
            propagate_trace=True,
            transport=transport,
        )

    return HttpPlacing(
        {provider: client(provider, url, ONCE) for provider, url in urls.items()},
        {provider: client(provider, url, LISTING) for provider, url in urls.items()},
    )


def _done(body: bytes, *, cancel: bool) -> Outcome:
    try:
        if cancel:
            return Accepted((), msgspec.json.decode(body, type=CancelAsked).provider_request_id)
        placed = msgspec.json.decode(body, type=Placed)
    except msgspec.DecodeError:
        return Lost("the answer cannot be read")
    if not any(placed.broker_order_ids):
        return Lost("the answer names no order", placed.provider_request_id)
    return Accepted(tuple(placed.broker_order_ids), placed.provider_request_id)


def _error_of(body: bytes) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    error = read.get("error") if isinstance(read, dict) else None
    return error if isinstance(error, dict) else {}


def _text(value: object, most: int = 200) -> str | None:
    return value[:most] if isinstance(value, str) else None
