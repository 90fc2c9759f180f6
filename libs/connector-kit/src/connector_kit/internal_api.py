"""The internal HTTP API, the same for every connector: what a person waits for goes through here.

Only our own services may call it, with a token made for ``<provider>-connector``.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response

from connector_kit import admin_api, breaker, internal_trading, links
from connector_kit.answers import answer, body
from connector_kit.background import Background
from connector_kit.engine import Engine
from connector_kit.finish import Finished, finish
from connector_kit.priority import Priority, working
from connector_kit.sync import sync
from contracts.connectors import powers
from contracts.errors import MEANING, ErrorCode, ProviderError, TransientError
from contracts.linking import LinkProgress, LinkRequest, LinkStart
from contracts.struct import Record
from messaging.bus import BusError
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretStoreUnavailableError
from service_kit.api_errors import ApiError, error_response, request_id_of
from service_kit.auth import require_service

UserId = Annotated[str, Query(min_length=1, max_length=200)]
LATER = (DatabaseUnavailable, BusError, SecretStoreUnavailableError)


class Powers(Record, frozen=True, kw_only=True):
    """What the provider's adapter can do."""

    provider: str
    powers: list[str]


class LinkCheck(Record, frozen=True, kw_only=True):
    """Ask the provider how a session ended; ``hint`` is the external connection id somebody claims."""

    user_id: str
    hint: str | None = None


def mount(app: FastAPI, engine: Engine, background: Background) -> None:
    """Add the internal API, and how the engine's errors are answered, to an app."""
    guard = require_service(
        engine.settings.service_auth_secret,
        f"{engine.provider}-connector",
        engine.settings.internal_callers,
        engine.clock,
    )
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(guard), Depends(at_once)])
    _routes(router, engine, background)
    admin_api.routes(router, engine)
    internal_trading.routes(router, engine, background)
    app.include_router(router)
    app.add_exception_handler(ProviderError, on_provider_error)
    for kind in LATER:
        app.add_exception_handler(kind, on_unavailable)


async def at_once() -> AsyncIterator[None]:
    """Let the provider calls of a request go before those that nobody waits for (a dependency)."""
    with working(Priority.INTERACTIVE):
        yield


def _routes(router: APIRouter, engine: Engine, background: Background) -> None:
    @router.get("/powers", summary="What this connector can do.")
    async def get_powers() -> Response:
        return answer(Powers(provider=engine.provider, powers=sorted(powers(engine.adapter))))

    @router.post("/links", summary="Begin a link session.", status_code=201)
    async def begin_link(request: Request) -> Response:
        wanted = await body(request, LinkRequest)
        await breaker.check(engine.database, engine.provider, wanted.institution)
        start: LinkStart = await links.begin(engine, wanted)
        return answer(start, status=201)

    @router.get("/links/{link_session_id}", summary="How a link session stands, as far as we know.")
    async def link_progress(link_session_id: str, user_id: UserId) -> Response:
        return answer(_found(await links.progress(engine, link_session_id, user_id)))

    @router.post("/links/{link_session_id}/check", summary="Ask the provider how a link session ended.")
    async def check_link(link_session_id: str, request: Request) -> Response:
        wanted = await body(request, LinkCheck)
        looking = background.begin(_looked(engine, link_session_id, wanted), "link check")
        # Who hangs up must not end it between an exchange and the keeping of what it brought.
        done = await asyncio.shield(looking)
        if isinstance(done, Exception):
            raise done
        if done is not None and done.fresh:
            background.begin(_read(engine, done.fresh), "first sync")
        return answer(_found(done.progress if done else None))


async def _looked(engine: Engine, link_session_id: str, wanted: LinkCheck) -> Finished | Exception | None:
    """How a session ended, or why nobody can say: an error is for who asks, if they are still there."""
    try:
        return await finish(engine, link_session_id, user_id=wanted.user_id, hint=wanted.hint)
    except (ProviderError, *LATER) as error:
        return error


async def _read(engine: Engine, fresh: list[str]) -> None:
    with working(Priority.BACKGROUND):
        await asyncio.gather(*(sync(engine, connection_id, trigger="link") for connection_id in fresh))


def _found(progress: LinkProgress | None) -> LinkProgress:
    if progress is None:
        raise ApiError(ErrorCode.NOT_FOUND, 404, "There is no such link session.")
    return progress


async def on_provider_error(request: Request, error: Exception) -> Response:
    """Answer a provider's error: our code, and the provider's own words for support (an exception handler)."""
    if not isinstance(error, ProviderError):
        raise error
    details: dict[str, Any] = {
        "provider": error.provider,
        "provider_code": error.provider_code,
        "provider_request_id": error.provider_request_id,
    }
    headers = {}
    if isinstance(error, TransientError) and error.wait is not None:
        headers["Retry-After"] = str(max(1, round(error.wait)))
    known = {name: value for name, value in details.items() if value is not None}
    status = MEANING[error.code].status
    return error_response(ApiError(error.code, status, error.message, known, headers), request_id_of(request))


async def on_unavailable(request: Request, error: Exception) -> Response:
    """Answer 503 while the database, the broker or the secret store is away (an exception handler)."""
    message = MEANING[ErrorCode.UNAVAILABLE].meaning
    cause = type(error).__name__
    refusal = ApiError(ErrorCode.UNAVAILABLE, 503, message, {"cause": cause}, {"Retry-After": "5"})
    return error_response(refusal, request_id_of(request))
