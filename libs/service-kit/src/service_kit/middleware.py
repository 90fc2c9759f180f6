"""ASGI middleware every API wears: context and access log, headers, body limit, deadlines. No framework hooks."""

import asyncio
import re
import time
import uuid
from contextlib import ExitStack

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import tracing
from .api_errors import ApiError, error_response, unhandled
from .health import Health
from .routes import method_of, route_of

log = structlog.get_logger(__name__)

OPERATIONS = frozenset({"/healthz", "/readyz", "/metrics"})
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""Set on every answer that does not set them itself."""

TOO_LARGE = "The body is larger than this API accepts."
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


class RequestContext:
    """Outermost layer: request id, trace, security headers, the access log, and the last catch.

    Requests other than health and metrics are turned away with 503 while the process is starting.
    """

    def __init__(self, app: ASGIApp, health: Health) -> None:
        self._app = app
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = scope["request_id"] = accepted_request_id(headers.get("x-request-id"))
        with ExitStack() as stack:
            stack.enter_context(tracing.continued(headers.get("traceparent")))
            stack.enter_context(structlog.contextvars.bound_contextvars(request_id=request_id))
            await self._handle(scope, receive, Answer(send, request_id))

    async def _handle(self, scope: Scope, receive: Receive, answer: "Answer") -> None:
        started = time.perf_counter()
        try:
            if self._health.starting and scope["path"] not in OPERATIONS:
                await answer.refuse(scope, receive, _starting())
            else:
                await self._app(scope, receive, answer.send)
        except Exception as error:  # noqa: BLE001  the last catch: logged with its stack, answered safely
            failure = unhandled(error)
            if not answer.status:
                await answer.refuse(scope, receive, failure)
        finally:
            _access_log(scope, answer.status, time.perf_counter() - started)


class Answer:
    """The way back to the caller: adds the headers every answer carries and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send one ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def refuse(self, scope: Scope, receive: Receive, error: ApiError) -> None:
        """Answer with an error."""
        await error_response(error, self._request_id)(scope, receive, self.send)


class Deadline:
    """Ends handlers that take too long with 503; a response that has begun may stream on."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request within the deadline."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        deadline = asyncio.timeout(self._seconds)

        async def begun(message: Message) -> None:
            if not deadline.expired():
                deadline.reschedule(None)
            await send(message)

        try:
            async with deadline:
                await self._app(scope, receive, begun)
        except TimeoutError:
            if not deadline.expired():
                raise
            error = ApiError("TIMEOUT", 503, "The request took too long.", headers={"Retry-After": "5"})
            log.warning("http.timeout", method=method_of(scope), route=route_of(scope), seconds=self._seconds)
            await error_response(error, str(scope.get("request_id", "")))(scope, receive, send)


class BodyLimit:
    """Refuses bodies that are too large (declared or counted while chunked) or come too slowly."""

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, counting what it sends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._max_bytes, self._seconds)
        body.check_declared(Headers(scope=scope).get("content-length"))
        if body.refusal is None:
            await self._pass_on(scope, body, send)
        if body.refusal is not None and not body.answered:
            await error_response(body.refusal, str(scope.get("request_id", "")))(scope, receive, send)

    async def _pass_on(self, scope: Scope, body: "_Body", send: Send) -> None:
        async def unless_refused(message: Message) -> None:
            # Whatever the handler makes of a body cut short, the caller hears the true reason.
            if body.refusal is None or body.answered:
                body.answered = True
                await send(message)

        try:
            await self._app(scope, body.receive, unless_refused)
        except Exception:
            if body.refusal is None:
                raise


class _Body:
    """The request's body on its way in."""

    def __init__(self, receive: Receive, max_bytes: int, seconds: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._deadline: float | None = None
        self._complete = False
        self._count = 0
        self.refusal: ApiError | None = None
        self.answered = False

    def check_declared(self, content_length: str | None) -> None:
        if content_length and (not content_length.isdecimal() or int(content_length) > self._max_bytes):
            self.refusal = _too_large(self._max_bytes)

    async def receive(self) -> Message:
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        if self._complete:
            return await self._receive()
        message = await self._within_deadline()
        self._count += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._count > self._max_bytes:
            self.refusal = _too_large(self._max_bytes)
        return message if self.refusal is None else {"type": "http.disconnect"}

    async def _within_deadline(self) -> Message:
        now = asyncio.get_running_loop().time()
        self._deadline = self._deadline or now + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            self.refusal = ApiError(
                "REQUEST_TIMEOUT", 408, "The body came too slowly.", headers={"Connection": "close"}
            )
            return {"type": "http.disconnect"}


def accepted_request_id(given: str | None) -> str:
    """Return the caller's request id where it is harmless, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _too_large(max_bytes: int) -> ApiError:
    return ApiError("BODY_TOO_LARGE", 413, TOO_LARGE, {"maxBytes": max_bytes}, {"Connection": "close"})


def _starting() -> ApiError:
    return ApiError("STARTING", 503, "This service is starting.", headers={"Retry-After": "2"})


def _access_log(scope: Scope, status: int, seconds: float) -> None:
    quiet = scope["path"] in OPERATIONS
    (log.debug if quiet else log.info)(
        "http.request",
        method=method_of(scope),
        route=route_of(scope),
        status=status,
        latency_ms=round(seconds * 1000, 2),
    )
