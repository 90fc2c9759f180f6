"""The HTTP client of SnapTrade: one method per endpoint, wire types in and out.

It sends once and never retries. Every failure is one of ``contracts.errors``; no error, log line or metric
holds a URL, because the user's secret is in each.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from connector_kit.limits import TURN_WITHIN, Gate, LimitKey
from contracts.errors import TransientError
from contracts.linking import UserAccess
from service_kit.http_client import Limits, ResponseTooLarge, deadline
from service_kit.metrics import Metrics
from snaptrade_connector import wire
from snaptrade_connector.errors import (
    PROVIDER,
    normalize_snaptrade_error,
    outcome_unknown,
    protocol_error,
    unanswered,
)
from snaptrade_connector.signing import SnapTradeAuth
from snaptrade_connector.transport import FRESH, AiohttpTransport

T = TypeVar("T")
Body = Mapping[str, Any]

LIMITS = Limits(connect=5.0, read=60.0, pool=30.0, total=90.0, connections=16, response_bytes=8 * 1024 * 1024)
"""A live read at a broker takes 20 to 30 seconds; the total also covers waiting for a turn."""

TRADE_LIMITS = Limits(connect=5.0, read=45.0, pool=5.0, total=50.0, response_bytes=LIMITS.response_bytes)
"""Of a call whose outcome somebody waits for: it ends before the request that asked for it is given up."""
TURN_SECONDS = 5.0
"""How long an order waits for its turn at the gate: who asked must not have given up when it leaves."""

UNREPEATED_TURN = 20.0
"""Seconds in which a call that may not be repeated must get its turn; after that it is not sent."""
CATALOGUE_BYTES = 64 * 1024 * 1024
"""A list of every instrument of an institution is long; it is read once a day at most."""
ORDER_DAYS = 30

_USER = msgspec.json.Decoder(wire.RegisteredUser)
_USERS = msgspec.json.Decoder(list[str])
_PORTAL = msgspec.json.Decoder(wire.Portal)
_AUTHORIZATION = msgspec.json.Decoder(wire.Authorization)
_AUTHORIZATIONS = msgspec.json.Decoder(list[wire.Authorization])
_ACCOUNTS = msgspec.json.Decoder(wire.Accounts)
_ACCOUNT_LIST = msgspec.json.Decoder(list[wire.Account])
_BALANCES = msgspec.json.Decoder(list[wire.Balance])
_POSITIONS = msgspec.json.Decoder(wire.Positions)
_ACTIVITIES = msgspec.json.Decoder(wire.Activities)
_ORDERS = msgspec.json.Decoder(list[wire.OrderRecord])
_HISTORY = msgspec.json.Decoder(wire.BalanceHistory)
_RETURNS = msgspec.json.Decoder(wire.ReturnRates)
_BROKERAGES = msgspec.json.Decoder(list[wire.Brokerage])
_INSTRUMENTS = msgspec.json.Decoder(wire.BrokerageInstruments)
_BODY = msgspec.json.Encoder(decimal_format="number")
_HEADERS = {"User-Agent": "onefolio", "Accept": "application/json", "Accept-Encoding": "identity"}
_HEADERS_OF_BODY = _HEADERS | {"Content-Type": "application/json"}
_TIMEOUT = {"connect": LIMITS.connect, "read": LIMITS.read, "pool": LIMITS.pool}
TRADE_TIMEOUT = {"connect": TRADE_LIMITS.connect, "read": TRADE_LIMITS.read, "pool": TRADE_LIMITS.pool}
_ACCOUNT = "/accounts/{id}"


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls a minute: of the customer in all, and of each account where the key is a personal one; 0 is no limit."""

    customer: int = 250
    account: int = 0

    def keys(self, template: str, subject: str) -> tuple[LimitKey, ...]:
        """The limits that one call counts against."""
        keys = [LimitKey("customer", self.customer)] if self.customer else []
        if self.account and template.startswith(_ACCOUNT):
            keys.append(LimitKey(f"account:{subject}", self.account))
        return tuple(keys)


def connect(
    base: str, auth: SnapTradeAuth, metrics: Metrics, gate: Gate, rates: Rates | None = None
) -> "SnapTradeClient":
    """The client a process uses, through the provider's gate; close it with ``aclose``.

    ``base`` is SnapTrade's root or its legacy ``/api/v1``: the path that is sent is the path that is signed.
    """
    inner = AiohttpTransport(
        connections=LIMITS.connections, keepalive=LIMITS.keepalive, response_bytes=LIMITS.response_bytes
    )
    return SnapTradeClient(gate.transport(inner), base, auth, Calls(metrics), rates or Rates())


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
        self,
        transport: httpx.AsyncBaseTransport,
        base: str,
        auth: SnapTradeAuth,
        calls: Calls,
        rates: Rates | None = None,
    ) -> None:
        self._transport = transport
        self._base = base.rstrip("/")
        self._auth = auth
        self._calls = calls
        self._rates = rates or Rates()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def register_user(self, user_id: str) -> wire.RegisteredUser:
        """``POST /snapTrade/registerUser``: not repeatable, and the only time the secret is told."""
        body = {"userId": user_id}
        answer = await self._send("POST", "/snapTrade/registerUser", body=body, repeatable=False)
        return decoded(_USER, answer)

    async def delete_user(self, user_id: str) -> None:
        """``DELETE /snapTrade/deleteUser``: queued, done when ``USER_DELETED`` arrives."""
        await self._send("DELETE", "/snapTrade/deleteUser", f"userId={quote(user_id, safe='')}")

    async def login(self, user: UserAccess | None, body: dict[str, str | bool]) -> wire.Portal:
        """``POST /snapTrade/login``: a portal link, good for five minutes."""
        return decoded(_PORTAL, await self._send("POST", "/snapTrade/login", named(user), body=body))

    async def authorizations(self, user: UserAccess | None) -> list[wire.Authorization]:
        """``GET /authorizations``: all connections of the user."""
        return decoded(_AUTHORIZATIONS, await self._send("GET", "/authorizations", named(user)))

    async def authorization(self, user: UserAccess | None, connection: str) -> wire.Authorization:
        """``GET /authorizations/{authorizationId}``: how one connection stands."""
        answer = await self._send("GET", "/authorizations/{id}", named(user), connection)
        return decoded(_AUTHORIZATION, answer)

    async def accounts(self, user: UserAccess | None) -> list[wire.Account]:
        """``GET /accounts/all``: the accounts of all connections of the user, always from SnapTrade's cache."""
        return _accounts(await self._send("GET", "/accounts/all", named(user)))

    async def live_accounts(self, user: UserAccess | None, connection: str) -> list[wire.Account]:
        """``GET /authorizations/{authorizationId}/accounts``: live where the plan is, in the older shape."""
        answer = await self._send("GET", "/authorizations/{id}/accounts", named(user), connection)
        return _accounts(answer)

    async def refresh(self, user: UserAccess | None, connection: str) -> None:
        """``POST /authorizations/{authorizationId}/refresh``: queued, and charged for when it is taken.

        Raises:
            OutcomeUnknownError: no answer came, or one that does not say whether it was taken.
        """
        template = "/authorizations/{id}/refresh"
        try:
            await self._send("POST", template, named(user), connection, repeatable=False)
        except TransientError as error:
            if not _may_have_acted(error.status):
                raise
            raise outcome_unknown(error) from error

    async def users(self) -> list[str]:
        """``GET /snapTrade/listUsers``: the ids of all users of the key, on one page."""
        return decoded(_USERS, await self._send("GET", "/snapTrade/listUsers"))

    async def brokerages(self) -> list[wire.Brokerage]:
        """``GET /brokerages``: the institutions this key can use."""
        return decoded(_BROKERAGES, await self._send("GET", "/brokerages"))

    async def instruments(self, brokerage: str) -> list[wire.BrokerageInstrument]:
        """``GET /brokerages/{slug}/instruments``: what can be traded there, on one page."""
        answer = await self._send(
            "GET", "/brokerages/{id}/instruments", subject=brokerage, most=CATALOGUE_BYTES
        )
        return decoded(_INSTRUMENTS, answer).instruments

    async def delete_connection(self, user: UserAccess | None, connection: str) -> None:
        """``DELETE /connection/{connectionId}``: queued, irreversible."""
        await self._send("DELETE", "/connection/{id}", named(user), connection)

    async def balances(self, user: UserAccess | None, account: str) -> list[wire.Balance]:
        """``GET /accounts/{accountId}/balances``: one row per currency."""
        return decoded(_BALANCES, await self._send("GET", "/accounts/{id}/balances", named(user), account))

    async def positions(self, user: UserAccess | None, account: str) -> wire.Positions:
        """``GET /accounts/{accountId}/positions/all``: every asset class, not paginated."""
        answer = await self._send("GET", "/accounts/{id}/positions/all", named(user), account)
        return decoded(_POSITIONS, answer)

    async def activities(
        self, user: UserAccess | None, account: str, *, start: date | None, offset: int, limit: int
    ) -> wire.Activities:
        """``GET /accounts/{accountId}/activities``: newest trade date first; ``start`` is inclusive."""
        wanted = f"offset={offset}&limit={limit}" + (f"&startDate={start.isoformat()}" if start else "")
        query = joined(wanted, named(user))
        return decoded(_ACTIVITIES, await self._send("GET", "/accounts/{id}/activities", query, account))

    async def orders(
        self, user: UserAccess | None, account: str, days: int = ORDER_DAYS
    ) -> list[wire.OrderRecord]:
        """``GET /accounts/{accountId}/orders``: of the last days, one record per leg."""
        wanted = f"state=all&days={days}"
        query = joined(wanted, named(user))
        return decoded(_ORDERS, await self._send("GET", "/accounts/{id}/orders", query, account))

    async def balance_history(self, user: UserAccess | None, account: str) -> wire.BalanceHistory:
        """``GET /accounts/{accountId}/balanceHistory``: daily totals of at most a year."""
        return decoded(
            _HISTORY, await self._send("GET", "/accounts/{id}/balanceHistory", named(user), account)
        )

    async def return_rates(self, user: UserAccess | None, account: str) -> wire.ReturnRates:
        """``GET /accounts/{accountId}/returnRates``: in per cent, by period."""
        return decoded(_RETURNS, await self._send("GET", "/accounts/{id}/returnRates", named(user), account))

    async def _send(
        self,
        method: str,
        template: str,
        query: str = "",
        subject: str = "",
        *,
        body: Body | None = None,
        repeatable: bool = True,
        most: int = LIMITS.response_bytes,
    ) -> httpx.Response:
        """Send one signed request; the answer is 2xx, of at most ``most`` bytes, or an error is raised."""
        extensions: dict[str, Any] = {"response_bytes": most}
        if not repeatable:
            # While it waits nothing is sent, and that must not look like an answer that was lost.
            extensions[TURN_WITHIN] = UNREPEATED_TURN
        request = self._request(method, template, query, subject, body=body, extensions=extensions)
        answer = await self._answer(request, f"{method} {template}", repeatable=repeatable)
        if not answer.is_success:
            raise normalize_snaptrade_error(answer.status_code, answer.headers, answer.content)
        return answer

    async def exchange(
        self,
        method: str,
        template: str,
        query: str = "",
        subject: str = "",
        body: Body | None = None,
        *,
        once: bool = False,
    ) -> httpx.Response:
        """Send one signed request and hand over whatever is answered, for endpoints that judge answers themselves.

        With ``once`` it goes over a connection of its own. It leaves soon or never: what waits too long for its turn is
        not sent behind the back of somebody who has given up.

        Raises:
            TransientError: the gate let nothing through; nothing was sent.
            httpx.PoolTimeout: it had no turn in time; nothing was sent.
            httpx.RequestError: no whole answer came.
        """
        extensions = {"timeout": TRADE_TIMEOUT, TURN_WITHIN: TURN_SECONDS, FRESH: once}
        request = self._request(method, template, query, subject, body=body, extensions=extensions)
        async with self._counted(f"{method} {template}") as results:
            async with deadline(TRADE_LIMITS.total, request):
                answer = await self._transport.handle_async_request(request)
            results.append(_result(answer.status_code))
        return answer

    def _request(
        self,
        method: str,
        template: str,
        query: str,
        subject: str,
        *,
        body: Body | None,
        extensions: dict[str, Any],
    ) -> httpx.Request:
        """A request, stamped and signed, to be sent at once."""
        path = template.replace("{id}", quote(subject, safe=""))
        limits = self._rates.keys(template, subject)
        request = httpx.Request(
            method,
            f"{self._base}{path}?{self._auth.stamped(query)}",
            headers=_HEADERS if body is None else _HEADERS_OF_BODY,
            content=None if body is None else _BODY.encode(body),
            extensions={"timeout": _TIMEOUT, "limits": limits} | extensions,
        )
        self._auth.sign(request)
        return request

    @asynccontextmanager
    async def _counted(self, operation: str) -> AsyncIterator[list[str]]:
        """Count and time a call; what is put into the list is how it ended, else it failed."""
        began, results = time.perf_counter(), list[str]()
        try:
            yield results
        finally:
            self._calls.note(operation, results[0] if results else "failed", time.perf_counter() - began)

    async def _answer(self, request: httpx.Request, operation: str, *, repeatable: bool) -> httpx.Response:
        """What came back, within the deadline; counted whatever it is."""
        async with self._counted(operation) as results:
            try:
                async with deadline(LIMITS.total, request):
                    answer = await self._transport.handle_async_request(request)
            except ResponseTooLarge as error:
                if not repeatable:
                    raise outcome_unknown(error) from error
                raise protocol_error("SnapTrade's answer is larger than we accept") from error
            except httpx.RequestError as error:
                raise unanswered(error, repeatable=repeatable) from None
            results.append(_result(answer.status_code))
        return answer


def _result(status: int) -> str:
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return "rate_limited"
    if status < httpx.codes.BAD_REQUEST:
        return "ok"
    return "server_error" if status >= httpx.codes.INTERNAL_SERVER_ERROR else "client_error"


def joined(*items: str) -> str:
    """Parts of a query as one; empty ones are left out."""
    return "&".join(filter(None, items))


def named(user: UserAccess | None) -> str:
    """The query items that name the user; a credential."""
    if user is None:
        return ""
    return f"userId={quote(user.external_user_id, safe='')}&userSecret={quote(user.secret or '', safe='')}"


def _may_have_acted(status: int | None) -> bool:
    """Whether an error answer leaves open if the request was carried out."""
    return status is not None and (
        status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT
    )


def _accounts(answer: httpx.Response) -> list[wire.Account]:
    """An object with ``results``, or the bare array it once was."""
    if answer.content.lstrip()[:1] == b"[":
        return decoded(_ACCOUNT_LIST, answer)
    return decoded(_ACCOUNTS, answer).results


def decoded(decoder: "msgspec.json.Decoder[T]", answer: httpx.Response) -> T:
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
