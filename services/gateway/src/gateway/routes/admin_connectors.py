"""What connectors tell operators: orphans, breakers, jobs. Everything asked is noted in the admin's audit trail."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from contracts.errors import ErrorCode
from contracts.struct import Record
from gateway import commands
from gateway.auth.admins import Admin
from gateway.auth.tokens import Principal
from gateway.context import Gateway, Parts
from gateway.refusals import not_found
from gateway.routes.answers import refusals
from gateway.routes.consolidations import Nothing
from gateway.schemas.connectors import BreakerPage, ConfirmBody, JobPage, Orphan, OrphanPage
from service_kit.api_errors import ApiError
from service_kit.web import request_id_of

router = APIRouter(prefix="/v1/admin", tags=["admin"])
PathProvider = Annotated[str, Path(max_length=64, description="A provider's slug.")]
PathName = Annotated[str, Path(max_length=64, description="As in the list.")]
ASKING = refusals(
    ErrorCode.FORBIDDEN,
    ErrorCode.NOT_FOUND,
    ErrorCode.PROVIDER_UNAVAILABLE,
    ErrorCode.RATE_LIMITED,
    ErrorCode.PROVIDER_REFUSED,
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@router.get(
    "/orphans",
    summary="List what exists on one side only.",
    response_model=OrphanPage,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_orphans(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    resolved: Annotated[bool, Query(description="Also those that are resolved.")] = False,
) -> Response:
    """What the last search of each connector found; nothing is removed by looking. The job `orphans` searches anew."""
    await _noted(parts, admin, request, "admin.orphans", {"resolved": resolved})

    async def ask(provider: str) -> Sequence[Record]:
        return await parts.connectors.orphans(provider, resolved=resolved)

    return _shown(await _of_all(parts, ask))


@router.post(
    "/orphans/{provider}/{orphan_id}/remove",
    summary="Remove an orphan.",
    response_model=Orphan,
    responses=ASKING,
)
async def remove_orphan(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    provider: PathProvider,
    orphan_id: PathName,
    body: ConfirmBody,  # noqa: ARG001 - its presence is the confirmation
) -> Response:
    """Remove what the search found, at the provider and with us; what belongs to somebody by now is left alone."""
    await _noted(parts, admin, request, "orphan.removed", {"provider": provider, "orphan_id": orphan_id})
    _check(parts, provider, orphan_id, "orphan")
    removed = await parts.connectors.remove_orphan(provider, orphan_id)
    return _shown(_item(provider, removed))


@router.get(
    "/breakers",
    summary="List what is left alone because it fails.",
    response_model=BreakerPage,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_breakers(admin: Admin, parts: Parts, request: Request) -> Response:
    """Institutions, or whole providers, that failed lately, and until when nothing is asked of them."""
    await _noted(parts, admin, request, "admin.breakers", {})
    return _shown(await _of_all(parts, parts.connectors.breakers))


@router.get(
    "/jobs",
    summary="List the connectors' daily jobs.",
    response_model=JobPage,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_jobs(admin: Admin, parts: Parts, request: Request) -> Response:
    """When each ran last, what it said, and when it runs next."""
    await _noted(parts, admin, request, "admin.jobs", {})
    return _shown(await _of_all(parts, parts.connectors.jobs))


@router.post(
    "/jobs/{provider}/{name}/run",
    summary="Run a daily job now.",
    status_code=202,
    response_model=JobPage,
    responses=ASKING,
)
async def run_job(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    provider: PathProvider,
    name: PathName,
    body: Nothing = None,  # noqa: ARG001 - taken so that an unknown field is refused
) -> Response:
    """Make a job due; a replica of the connector takes it up at its next look."""
    await _noted(parts, admin, request, "job.wanted", {"provider": provider, "name": name})
    _check(parts, provider, name, "job")
    found = await parts.connectors.run_job(provider, name)
    return _shown({"items": [_item(provider, one) for one in found], "unavailable": []}, 202)


async def _of_all(parts: Gateway, ask: Callable[[str], Awaitable[Sequence[Record]]]) -> dict[str, Any]:
    """What every connector says, and which said nothing."""
    providers = sorted(parts.settings.connectors)
    answers = await asyncio.gather(*(_answered(ask, provider) for provider in providers))
    found = list(zip(providers, answers, strict=True))
    return {
        "items": [_item(provider, one) for provider, answer in found for one in answer or ()],
        "unavailable": [provider for provider, answer in found if answer is None],
    }


async def _answered(
    ask: Callable[[str], Awaitable[Sequence[Record]]], provider: str
) -> Sequence[Record] | None:
    try:
        return await ask(provider)
    except ApiError:
        # The client has logged it; what the others say is worth showing.
        return None


def _check(parts: Gateway, provider: str, name: str, what: str) -> None:
    if provider not in parts.settings.connectors or not _NAME.fullmatch(name):
        raise not_found(what)


def _item(provider: str, record: Record) -> dict[str, Any]:
    return {"provider": provider, **msgspec.to_builtins(record)}


async def _noted(
    parts: Gateway, admin: Principal, request: Request, action: str, details: Mapping[str, Any]
) -> None:
    async with parts.database.transaction(admin.user_id) as conn:
        await commands.note(
            conn,
            admin.user_id,
            action,
            None,
            details=details,
            request_id=request_id_of(request),
            now=parts.clock.now(),
        )


def _shown(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
