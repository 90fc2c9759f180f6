"""The connectors' internal API: one client for every provider, since all speak the same contract."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import httpx
import msgspec
import structlog

from contracts.errors import MEANING, ErrorCode
from contracts.linking import LinkProgress, LinkRequest, LinkStart
from gateway.clients.operating import Breaker, Breakers, Job, Jobs, Orphan, Orphans
from gateway.refusals import refusal
from service_kit.api_errors import ApiError
from service_kit.auth import ServiceAuth
from service_kit.clock import Clock
from service_kit.http_client import OPERATION, Limits, OutboundClient, deadline, outbound_client
from service_kit.metrics import Metrics
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")
ISSUER = "gateway"
LIMITS = Limits(connect=2.0, read=25.0, pool=2.0, total=25.0, response_bytes=1024 * 1024)
PROGRESS_SECONDS = 2.0
CHECK_SECONDS = 8.0
LISTING_SECONDS = 5.0
_ENCODER = msgspec.json.Encoder(decimal_format="string")

PASSED_ON = frozenset(
    {
        ErrorCode.RATE_LIMITED,
        ErrorCode.NOT_FOUND,
        ErrorCode.CONFLICT,
        ErrorCode.TRADING_NOT_SUPPORTED,
        ErrorCode.CONNECTION_BROKEN,
        ErrorCode.CONNECTION_GONE,
        ErrorCode.DATA_NOT_READY,
        ErrorCode.NO_INVESTMENT_ACCOUNTS,
        ErrorCode.SNAPTRADE_NOT_REGISTERED,
        ErrorCode.SNAPTRADE_USER_MISMATCH,
        ErrorCode.SIGNATURE_INVALID,
        ErrorCode.PROVIDER_CREDENTIALS_INVALID,
        ErrorCode.PROVIDER_REFUSED,
        ErrorCode.PROVIDER_UNAVAILABLE,
        ErrorCode.PROVIDER_PROTOCOL,
        ErrorCode.INSTITUTION_UNAVAILABLE,
    }
)
"""Codes of a connector that are about the user's request; every other failure is between our services."""
SHOWN = ("provider_code", "provider_request_id")
WAITS = {HTTPStatus.TOO_MANY_REQUESTS: "30", HTTPStatus.SERVICE_UNAVAILABLE: "5"}
"""``Retry-After`` of an answer that asks to be repeated, where the provider named no time."""


class Connectors(Protocol):
    """What the gateway asks of connectors. All raise ``ApiError`` when a connector or its provider does not answer."""

    async def begin(self, provider: str, request: LinkRequest) -> LinkStart:
        """Begin a link session."""
        ...

    async def progress(self, provider: str, session_id: str, user_id: str) -> LinkProgress | None:
        """How a session stands as far as the connector knows; None where it knows nothing of it."""
        ...

    async def check(self, provider: str, session_id: str, user_id: str) -> LinkProgress | None:
        """How a session stands after asking the provider; None where the connector knows nothing of it."""
        ...

    async def orphans(self, provider: str, *, resolved: bool) -> list[Orphan]:
        """What exists on one side only, as far as the last search saw; with those that are resolved or without."""
        ...

    async def remove_orphan(self, provider: str, orphan_id: str) -> Orphan:
        """Remove an orphan, as a person has confirmed; how it stands then."""
        ...

    async def breakers(self, provider: str) -> list[Breaker]:
        """Institutions that are left alone for a while."""
        ...

    async def jobs(self, provider: str) -> list[Job]:
        """How the daily jobs stand."""
        ...

    async def run_job(self, provider: str, name: str) -> list[Job]:
        """Make a daily job due now; how it stands."""
        ...


class HttpConnectors:
    """Connectors over HTTP, a client each."""

    def __init__(self, clients: Mapping[str, OutboundClient]) -> None:
        self._clients = clients

    async def begin(self, provider: str, request: LinkRequest) -> LinkStart:
        """Begin a link session."""
        answer = await self._send(
            provider, "POST", "/internal/v1/links", "POST /links", content=_ENCODER.encode(request)
        )
        return _read(provider, answer, LinkStart)

    async def progress(self, provider: str, session_id: str, user_id: str) -> LinkProgress | None:
        """How a session stands as far as the connector knows; None where it knows nothing of it."""
        path = f"/internal/v1/links/{session_id}"
        return await self._progress(
            provider, "GET", path, "GET /links/{id}", params={"user_id": user_id}, seconds=PROGRESS_SECONDS
        )

    async def check(self, provider: str, session_id: str, user_id: str) -> LinkProgress | None:
        """How a session stands after asking the provider; None where the connector knows nothing of it."""
        path, body = f"/internal/v1/links/{session_id}/check", _ENCODER.encode({"user_id": user_id})
        return await self._progress(
            provider, "POST", path, "POST /links/{id}/check", content=body, seconds=CHECK_SECONDS
        )

    async def orphans(self, provider: str, *, resolved: bool) -> list[Orphan]:
        """What exists on one side only, as far as the last search saw."""
        params = {"resolved": str(resolved).lower()}
        answer = await self._send(
            provider, "GET", "/internal/v1/orphans", "GET /orphans", params=params, seconds=LISTING_SECONDS
        )
        return _read(provider, answer, Orphans).orphans

    async def remove_orphan(self, provider: str, orphan_id: str) -> Orphan:
        """Remove an orphan, as a person has confirmed; how it stands then."""
        path, body = f"/internal/v1/orphans/{orphan_id}/remove", _ENCODER.encode({"confirm": True})
        answer = await self._send(provider, "POST", path, "POST /orphans/{id}/remove", content=body)
        return _read(provider, answer, Orphan)

    async def breakers(self, provider: str) -> list[Breaker]:
        """Institutions that are left alone for a while."""
        answer = await self._send(
            provider, "GET", "/internal/v1/breakers", "GET /breakers", seconds=LISTING_SECONDS
        )
        return _read(provider, answer, Breakers).breakers

    async def jobs(self, provider: str) -> list[Job]:
        """How the daily jobs stand."""
        answer = await self._send(provider, "GET", "/internal/v1/jobs", "GET /jobs", seconds=LISTING_SECONDS)
        return _read(provider, answer, Jobs).jobs

    async def run_job(self, provider: str, name: str) -> list[Job]:
        """Make a daily job due now; how it stands."""
        answer = await self._send(provider, "POST", f"/internal/v1/jobs/{name}/run", "POST /jobs/{name}/run")
        return _read(provider, answer, Jobs).jobs

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _progress(
        self, provider: str, method: str, path: str, operation: str, **options: Any
    ) -> LinkProgress | None:
        try:
            return _read(
                provider, await self._send(provider, method, path, operation, **options), LinkProgress
            )
        except ApiError as error:
            if error.code == ErrorCode.NOT_FOUND:
                return None
            raise

    async def _send(
        self,
        provider: str,
        method: str,
        path: str,
        operation: str,
        *,
        seconds: float = LIMITS.total,
        **options: Any,
    ) -> httpx.Response:
        client = self._clients.get(provider)
        if client is None:
            raise refusal(ErrorCode.PROVIDER_DISABLED, details={"provider": provider})
        headers = {"Content-Type": "application/json"} if "content" in options else {}
        try:
            async with deadline(seconds):
                answer = await client.request(
                    method, path, headers=headers, extensions={OPERATION: operation}, **options
                )
        except httpx.HTTPError as error:
            log.warning(
                "connector.unreachable", provider=provider, operation=operation, error=type(error).__name__
            )
            raise _unavailable(provider) from error
        if answer.is_success:
            return answer
        raise _passed_on(provider, operation, answer)


def http_connectors(
    settings: ServiceSettings,
    urls: Mapping[str, str],
    metrics: Metrics,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
) -> HttpConnectors:
    """Clients of the connectors at these internal addresses (provider → URL)."""
    return HttpConnectors(
        {
            provider: outbound_client(
                f"{provider}-connector",
                url,
                metrics,
                limits=LIMITS,
                auth=ServiceAuth(
                    settings.service_auth_secret, issuer=ISSUER, audience=f"{provider}-connector", clock=clock
                ),
                propagate_trace=True,
                transport=transport,
            )
            for provider, url in urls.items()
        }
    )


def _read(provider: str, answer: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.DecodeError as error:
        # The text of the error can repeat what was sent; that includes a credential.
        log.error("connector.unreadable", provider=provider, expected=kind.__name__)  # noqa: TRY400 - see above
        raise _unavailable(provider) from error


def _passed_on(provider: str, operation: str, answer: httpx.Response) -> ApiError:
    """The connector's error as the user should see it."""
    body = _error_of(answer)
    code = str(body.get("code"))
    log.info(
        "connector.refused", provider=provider, operation=operation, status=answer.status_code, code=code[:64]
    )
    if code not in PASSED_ON:
        return _unavailable(provider)
    given = body.get("details")
    told = given if isinstance(given, dict) else {}
    details = {"provider": provider} | {
        name: told[name][:200] for name in SHOWN if isinstance(told.get(name), str)
    }
    message = body.get("message")
    told_why = message[:300] if isinstance(message, str) else None
    return refusal(ErrorCode(code), told_why, details=details, headers=_wait(ErrorCode(code), answer))


def _wait(code: ErrorCode, answer: httpx.Response) -> dict[str, str] | None:
    """``Retry-After`` in whole seconds: the connector's word, or ours where an answer may not go without."""
    given = answer.headers.get("Retry-After", "")
    wait = given if given.isdecimal() else WAITS.get(HTTPStatus(MEANING[code].status))
    return None if wait is None else {"Retry-After": wait}


def _error_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _unavailable(provider: str) -> ApiError:
    return refusal(
        ErrorCode.PROVIDER_UNAVAILABLE, details={"provider": provider}, headers={"Retry-After": "5"}
    )
