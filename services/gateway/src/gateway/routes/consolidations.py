"""Consolidation on demand."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.decisions.consolidations import consolidate, state
from gateway.decisions.decider import Decider, themselves
from gateway.reads.consolidations import Found
from gateway.reads.pages import known_id
from gateway.routes.answers import refusals
from gateway.routes.deciding import IdempotencyKey, decided, pending
from gateway.schemas.portfolios import ConsolidateBody, Consolidation
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["portfolios"])
Nothing = Annotated[ConsolidateBody | None, Body()]


@router.post(
    "/v1/consolidate",
    summary="Sum all portfolios anew.",
    response_model=Consolidation,
    responses=pending(Consolidation) | refusals(),
)
async def consolidate_all(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    body: Nothing = None,  # noqa: ARG001 - taken so that an unknown field is refused
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have every portfolio of yours summed anew from what is stored; no provider is asked."""
    return await answered(parts, themselves(caller, request_id_of(request), idempotency_key), None)


@router.post(
    "/v1/portfolios/{portfolio_id}/consolidate",
    summary="Sum a portfolio anew.",
    response_model=Consolidation,
    responses=pending(Consolidation) | refusals(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def consolidate_one(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    portfolio_id: PathId,
    body: Nothing = None,  # noqa: ARG001 - taken so that an unknown field is refused
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have one portfolio of yours summed anew from what is stored; no provider is asked.

    409 where it is so new that it is being summed for the first time.
    """
    return await answered(parts, themselves(caller, request_id_of(request), idempotency_key), portfolio_id)


@router.get(
    "/v1/consolidations/{request_id}",
    summary="See how far a consolidation is.",
    response_model=Consolidation,
    responses=refusals(ErrorCode.NOT_FOUND),
)
async def read_consolidation(caller: Caller, parts: Parts, request_id: PathId) -> Response:
    """A consolidation you asked for, kept for 30 days; `running` until every portfolio has its result."""
    return shown(await state(parts, caller.user_id, known_id(request_id, "consolidation")))


async def answered(parts: Parts, who: Decider, wanted: str | None, *, within: str = "/v1") -> Response:
    """Ask for a consolidation and answer how far it came; look again below the path ``within``.

    Raises:
        ApiError: it is refused.
    """
    found, replayed = await consolidate(parts, who, wanted)
    headers = {"Location": f"{within}/consolidations/{found.request_id}"}
    return decided(found.body, status=200, applied=found.finished, replayed=replayed, headers=headers)


def shown(found: Found) -> Response:
    """How far a consolidation is."""
    return Response(found.body, media_type="application/json")
