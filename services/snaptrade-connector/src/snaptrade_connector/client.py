"""The HTTP client of SnapTrade: one method per endpoint, wire types in and out.

It sends once and never retries. Every failure is one of ``contracts.errors``; no error, log line or metric
holds a URL, because the user's secret is in each.
"""

import time
from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from connector_kit.limits import Gate
from contracts.linking import UserAccess
from service_kit.http_client import Limits, ResponseTooLarge, deadline
from service_kit.metrics import Metrics
from snaptrade_connector import wire
from snaptrade_connector.errors import PROVIDER, normalize_snaptrade_error, protocol_error, unanswered
from snaptrade_connector.signing import SnapTradeAuth
from snaptrade_connector.transport import AiohttpTransport

T = TypeVar("T")

LIMITS = Limits(connect=5.0, read=60.0, pool=30.0, total=90.0, connections=16, response_bytes=8 * 1024 * 1024)
"""A live read at a broker takes 20 to 30 seconds; the total also covers waiting for a turn."""

_USER = msgspec.json.Decoder(wire.RegisteredUser)
_PORTAL = msgspec.json.Decoder(wire.Portal)
_AUTHORIZATION = msgspec.json.Decoder(wire.Authorization)
_AUTHORIZATIONS = msgspec.json.Decoder(list[wire.Authorization])
_ACCOUNTS = msgspec.json.Decoder(wire.Accounts)
_ACCOUNT_LIST = msgspec.json.Decoder(list[wire.Account])
_BALANCES = msgspec.json.Decoder(list[wire.Balance])
_POSITIONS = msgspec.json.Decoder(wire.Positions)
_BODY = msgspec.json.Encoder()
_HEADERS = {"User-Agent": "onefolio", "Accept": "application/json", "Accept-Encoding": "identity"}
_HEADERS_OF_BODY = _HEADERS | {"Content-Type": "application/json"}
_EXTENSIONS = {"timeout": {"connect": LIMITS.connect, "read": LIMITS.read, "pool": LIMITS.pool}}


def connect(base: str, auth: SnapTradeAuth, metrics: Metrics, gate: Gate) -> "SnapTradeClient":
    """The client a process uses, through the provider's gate; close it with ``aclose``.

    ``base`` is SnapTrade's root or its legacy ``/api/v1``: the path that is sent is the path that is signed.
    """
    inner = AiohttpTransport(
        connections=LIMITS.connections, keepalive=LIMITS.keepalive, response_bytes=LIMITS.response_bytes
    )
    return SnapTradeClient(gate.transport(inner), base, auth, Calls(metrics))


class Calls:
    """Counts and times calls under the names every outbound client of the house uses."""

    def __init__(self, metrics: Metrics) -> None:
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

    def note(self, operation: str, result: str, seconds: float) -> None:
        """Note one call; ``operation`` is a path template, never a URL."""
        self._calls.labels(PROVIDER, operation, result).inc()
        self._seconds.labels(PROVIDER, operation).observe(seconds)


class SnapTradeClient:
    """Calls SnapTrade. ``user`` is None with a personal key: then no user is named.

    Requests go to the transport itself: an ``httpx.AsyncClient`` would add cookies, redirects and proxies,
    none of which may happen here, and take longer than the rest of a call.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, base: str, auth: SnapTradeAuth, calls: Calls
    ) -> None:
        self._transport = transport
        self._base = base.rstrip("/")
        self._auth = auth
        self._calls = calls

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def register_user(self, user_id: str) -> wire.RegisteredUser:
        """``POST /snapTrade/registerUser``: not repeatable, and the only time the secret is told."""
        body = {"userId": user_id}
        answer = await self._send("POST", "/snapTrade/registerUser", body=body, repeatable=False)
        return _decoded(_USER, answer)

    async def delete_user(self, user_id: str) -> None:
        """``DELETE /snapTrade/deleteUser``: queued, done when ``USER_DELETED`` arrives."""
        await self._send("DELETE", "/snapTrade/deleteUser", f"userId={quote(user_id, safe='')}")

    async def login(self, user: UserAccess | None, body: dict[str, str | bool]) -> wire.Portal:
        """``POST /snapTrade/login``: a portal link, good for five minutes."""
        return _decoded(_PORTAL, await self._send("POST", "/snapTrade/login", _user(user), body=body))

    async def authorizations(self, user: UserAccess | None) -> list[wire.Authorization]:
        """``GET /authorizations``: all connections of the user."""
        return _decoded(_AUTHORIZATIONS, await self._send("GET", "/authorizations", _user(user)))

    async def authorization(self, user: UserAccess | None, connection: str) -> wire.Authorization:
        """``GET /authorizations/{authorizationId}``: how one connection stands."""
        answer = await self._send("GET", "/authorizations/{id}", _user(user), connection)
        return _decoded(_AUTHORIZATION, answer)

    async def accounts(self, user: UserAccess | None, connection: str) -> list[wire.Account]:
        """``GET /connections/{connectionId}/accounts``: an object with ``results``, once a bare array."""
        answer = await self._send("GET", "/connections/{id}/accounts", _user(user), connection)
        if answer.content.lstrip()[:1] == b"[":
            return _decoded(_ACCOUNT_LIST, answer)
        return _decoded(_ACCOUNTS, answer).results

    async def delete_connection(self, user: UserAccess | None, connection: str) -> None:
        """``DELETE /connection/{connectionId}``: queued, irreversible."""
        await self._send("DELETE", "/connection/{id}", _user(user), connection)

    async def balances(self, user: UserAccess | None, account: str) -> list[wire.Balance]:
        """``GET /accounts/{accountId}/balances``: one row per currency."""
        return _decoded(_BALANCES, await self._send("GET", "/accounts/{id}/balances", _user(user), account))

    async def positions(self, user: UserAccess | None, account: str) -> wire.Positions:
        """``GET /accounts/{accountId}/positions/all``: every asset class, not paginated."""
        answer = await self._send("GET", "/accounts/{id}/positions/all", _user(user), account)
        return _decoded(_POSITIONS, answer)

    async def _send(
        self,
        method: str,
        template: str,
        query: str = "",
        subject: str = "",
        *,
        body: dict[str, str | bool] | dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> httpx.Response:
        """Send one signed request; the answer is 2xx or an error is raised."""
        path = template.replace("{id}", quote(subject, safe=""))
        request = httpx.Request(
            method,
            f"{self._base}{path}?{self._auth.stamped(query)}",
            headers=_HEADERS if body is None else _HEADERS_OF_BODY,
            content=None if body is None else _BODY.encode(body),
            extensions=_EXTENSIONS,
        )
        self._auth.sign(request)
        answer = await self._answer(request, f"{method} {template}", repeatable=repeatable)
        if not answer.is_success:
            raise normalize_snaptrade_error(answer.status_code, answer.headers, answer.content)
        return answer

    async def _answer(self, request: httpx.Request, operation: str, *, repeatable: bool) -> httpx.Response:
        """What came back, within the deadline; counted whatever it is."""
        began, result = time.perf_counter(), "failed"
        try:
            async with deadline(LIMITS.total, request):
                answer = await self._transport.handle_async_request(request)
            result = _result(answer.status_code)
        except ResponseTooLarge as error:
            raise protocol_error("SnapTrade's answer is larger than we accept") from error
        except httpx.RequestError as error:
            raise unanswered(error, repeatable=repeatable) from None
        finally:
            self._calls.note(operation, result, time.perf_counter() - began)
        return answer


def _result(status: int) -> str:
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return "rate_limited"
    if status < httpx.codes.BAD_REQUEST:
        return "ok"
    return "server_error" if status >= httpx.codes.INTERNAL_SERVER_ERROR else "client_error"


def _user(user: UserAccess | None) -> str:
    """The query items that name the user; a credential."""
    if user is None:
        return ""
    return f"userId={quote(user.external_user_id, safe='')}&userSecret={quote(user.secret or '', safe='')}"


def _decoded(decoder: "msgspec.json.Decoder[T]", answer: httpx.Response) -> T:
    """Read an answer's body, or say that it cannot be understood; its text is never repeated."""
    request_id = answer.headers.get("X-Request-ID")
    if not answer.headers.get("Content-Type", "").lower().startswith("application/json"):
        raise protocol_error(
            "SnapTrade answered something other than JSON", status=answer.status_code, request_id=request_id
        )
    try:
        return decoder.decode(answer.content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise protocol_error(
            "SnapTrade's answer cannot be understood", status=answer.status_code, request_id=request_id
        ) from None
