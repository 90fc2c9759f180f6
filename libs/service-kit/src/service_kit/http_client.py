"""Outbound HTTP: one client per target, bounded in time and size, measured, and silent about URLs.

A URL can carry a credential (one provider puts a user's secret into the query), and the text of
``httpx.HTTPStatusError`` repeats the URL. Therefore nothing in Onefolio calls ``raise_for_status``: callers look
at ``status_code`` and raise their own errors; only method, host and the operation's template are logged.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
import structlog

from . import tracing
from .metrics import Metrics

log = structlog.get_logger(__name__)

OPERATION = "operation"
"""Request extension that names the call with few values: ``extensions={"operation": "GET /accounts/{id}"}``."""

UNNAMED = "unnamed"


class TargetRefused(httpx.TransportError):
    """The request would leave for another origin than the client was made for; nothing was sent."""


class DeadlineExceeded(httpx.TimeoutException):
    """The call as a whole took too long; whether the other side acted is unknown."""


class ResponseTooLarge(httpx.TransportError):
    """The answer was cut off because it is larger than the client accepts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a client. Times are seconds; ``total`` covers a call from start to the last byte."""

    connect: float = 5.0
    read: float = 30.0
    pool: float = 5.0
    total: float = 30.0
    connections: int = 20
    keepalive: float = 30.0
    response_bytes: int = 8 * 1024 * 1024


def outbound_client(
    target: str,
    base_url: str,
    metrics: Metrics,
    *,
    limits: Limits | None = None,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    propagate_trace: bool = False,
) -> "OutboundClient":
    """Build the client of one target. Close it with ``aclose``.

    Args:
        target: short name for logs and metrics (``plaid``, ``gateway``).
        base_url: where every request goes; requests to another origin are refused.
        metrics: where calls are counted and timed.
        limits: bounds in time, connections and size.
        headers: sent with every request.
        auth: signs every request.
        transport: replaces the network, for tests.
        propagate_trace: send ``traceparent`` (only to our own services).
    """
    bounds = limits or Limits()
    return OutboundClient(
        target,
        metrics,
        bounds,
        propagate_trace=propagate_trace,
        base_url=base_url,
        headers=headers,
        auth=auth,
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        # One client serves many users: what a server sets for one must not travel with the next.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(bounds.read, connect=bounds.connect, pool=bounds.pool),
        limits=httpx.Limits(
            max_connections=bounds.connections,
            max_keepalive_connections=bounds.connections,
            keepalive_expiry=bounds.keepalive,
        ),
    )


class OutboundClient(httpx.AsyncClient):
    """An httpx client that keeps to its origin, its deadline and its size, and reports every call."""

    def __init__(
        self, target: str, metrics: Metrics, bounds: Limits, *, propagate_trace: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self._target = target
        self._bounds = bounds
        self._propagate_trace = propagate_trace
        self._calls = metrics.counter(
            "onefolio_outbound_requests_total",
            "Calls to other services and providers.",
            ("target", "operation", "result"),
        )
        self._seconds = metrics.histogram(
            "onefolio_outbound_request_duration_seconds",
            "Time from the call to the last byte of the answer.",
            ("target", "operation"),
        )

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """Send one request and read the answer (unless ``stream``), within the total deadline.

        Raises:
            TargetRefused: another origin; nothing was sent.
            DeadlineExceeded: the whole call took too long.
            ResponseTooLarge: the answer is too large.
            httpx.TransportError: the network failed.
        """
        operation = str(request.extensions.get(OPERATION, UNNAMED))
        started = time.perf_counter()
        result = "failed"
        try:
            response = await self._sent(request, stream=stream, options=options)
            result = _result(response.status_code)
        except BaseException as error:
            result = _failure(error)
            raise
        else:
            return response
        finally:
            self._report(request, operation, result, time.perf_counter() - started)

    async def _sent(self, request: httpx.Request, *, stream: bool, options: Any) -> httpx.Response:
        if not _same_origin(request.url, self.base_url):
            raise TargetRefused("the request does not go to this client's target", request=request)
        if self._propagate_trace:
            request.headers["traceparent"] = tracing.outgoing()
        async with deadline(self._bounds.total, request):
            response = await super().send(request, stream=True, **options)
            return response if stream else await _read(response, self._bounds.response_bytes)

    def _report(self, request: httpx.Request, operation: str, result: str, seconds: float) -> None:
        self._calls.labels(self._target, operation, result).inc()
        self._seconds.labels(self._target, operation).observe(seconds)
        log.debug(
            "outbound.request",
            target=self._target,
            method=request.method,
            host=request.url.host,
            operation=operation,
            result=result,
            latency_ms=round(seconds * 1000, 2),
        )


@asynccontextmanager
async def deadline(seconds: float, request: httpx.Request | None = None) -> AsyncIterator[None]:
    """Bound everything inside to ``seconds``, as one more httpx timeout.

    Raises:
        DeadlineExceeded: time is up.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceeded(f"no answer within {seconds} s", request=request) from error


async def _read(response: httpx.Response, max_bytes: int) -> httpx.Response:
    """Read a streamed answer into a plain one, refusing to hold more than ``max_bytes`` decoded."""
    chunks: list[bytes] = []
    count = 0
    try:
        async for chunk in response.aiter_bytes():
            count += len(chunk)
            if count > max_bytes:
                raise ResponseTooLarge(f"answer larger than {max_bytes} bytes", request=response.request)
            chunks.append(chunk)
    finally:
        await response.aclose()
    # The body is decoded by now, and its length is its own.
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    return httpx.Response(
        response.status_code,
        headers=[(k, v) for k, v in response.headers.multi_items() if k not in dropped],
        content=b"".join(chunks),
        request=response.request,
        extensions=response.extensions,
    )


def _same_origin(url: httpx.URL, base: httpx.URL) -> bool:
    return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)


def _result(status: int) -> str:
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return "rate_limited"
    if status < httpx.codes.BAD_REQUEST:
        return "ok"
    return "server_error" if status >= httpx.codes.INTERNAL_SERVER_ERROR else "client_error"


_FAILURES: tuple[tuple[type[BaseException], str], ...] = (
    (TargetRefused, "refused"),
    (ResponseTooLarge, "too_large"),
    (httpx.ConnectError, "connect_failed"),
    (httpx.ConnectTimeout, "connect_failed"),
    (httpx.TimeoutException, "timeout"),
    (httpx.TransportError, "network_error"),
    (asyncio.CancelledError, "cancelled"),
)


def _failure(error: BaseException) -> str:
    return next((name for kind, name in _FAILURES if isinstance(error, kind)), "failed")
