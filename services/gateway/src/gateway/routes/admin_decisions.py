"""What admins see and decide for users. Everything is written into the user's own audit trail, reading too."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from contracts.errors import ErrorCode
from gateway import commands
from gateway.auth.admins import Admin
from gateway.context import Gateway, Parts
from gateway.decisions.consolidations import state
from gateway.decisions.decider import Decider, on_behalf
from gateway.reads import identity, quarantine
from gateway.reads.pages import Answer, known_id, known_tags, respond
from gateway.routes import consolidations as consolidating
from gateway.routes import identity as deciding
from gateway.routes import quarantine as judging
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.consolidations import Nothing
from gateway.routes.deciding import IdempotencyKey, PathUser, UserId, pending
from gateway.schemas.decisions import (
    Identity,
    IdentityBody,
    IdentityDecision,
    JudgementBody,
    PendingPairs,
    Quarantine,
    QuarantinedPage,
    SnapshotJudgement,
)
from gateway.schemas.portfolios import Consolidation
from gateway.schemas.values import PageCursor, PageLimit, PathId
from persistence.database import Connection
from service_kit.web import request_id_of

router = APIRouter(prefix="/v1/admin", tags=["admin"])
QueryUser = Annotated[UserId, Query(description="The user it is about.")]
Read = Callable[[Connection], Awaitable[Answer]]


@router.get(
    "/identity/pending",
    summary="List a user's accounts that wait for a decision.",
    response_model=PendingPairs,
    responses=NOT_MODIFIED | refusals(ErrorCode.FORBIDDEN),
)
async def list_users_pending(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: QueryUser,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Pairs of a user's accounts that may be one, with what speaks for and against it."""
    who = on_behalf(admin, user_id, request_id_of(request))
    read: Read = partial(identity.pending, user_id=user_id, cursor=cursor, limit=limit)
    return respond(await _read(parts, who, "identity.pending", {}, read), known_tags(if_none_match))


@router.get(
    "/quarantine",
    summary="List a user's quarantined snapshots.",
    response_model=QuarantinedPage,
    responses=NOT_MODIFIED | refusals(ErrorCode.FORBIDDEN),
)
async def list_users_quarantine(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: QueryUser,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A user's accounts whose newest complete snapshot would have erased most of them."""
    who = on_behalf(admin, user_id, request_id_of(request))
    read: Read = partial(quarantine.waiting, user_id=user_id, cursor=cursor, limit=limit)
    return respond(await _read(parts, who, "quarantine", {}, read), known_tags(if_none_match))


@router.get(
    "/users/{user_id}/accounts/{account_id}/identity",
    summary="See which real account a user's account is, and why.",
    response_model=Identity,
    responses=NOT_MODIFIED | refusals(ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND),
)
async def read_users_identity(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: PathUser,
    account_id: PathId,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What the user sees of it."""
    account = known_id(account_id, deciding.ACCOUNT)
    who = on_behalf(admin, user_id, request_id_of(request))
    read: Read = partial(identity.of_account, user_id=user_id, account_id=account)
    found = await _read(parts, who, "identity", {"account_id": str(account)}, read)
    return respond(found, known_tags(if_none_match))


@router.post(
    "/users/{user_id}/accounts/{account_id}/identity",
    summary="Say whether two accounts of a user are one.",
    response_model=IdentityDecision,
    responses=pending(IdentityDecision)
    | refusals(ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def decide_users_identity(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: PathUser,
    account_id: PathId,
    body: IdentityBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Decide for a user; they see by whom."""
    who = on_behalf(admin, user_id, request_id_of(request), idempotency_key)
    return await deciding.answered(parts, who, account_id, body)


@router.get(
    "/users/{user_id}/accounts/{account_id}/quarantine",
    summary="See the quarantined snapshot of a user's account.",
    response_model=Quarantine,
    responses=NOT_MODIFIED | refusals(ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND),
)
async def read_users_quarantine(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: PathUser,
    account_id: PathId,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What the user sees of it."""
    account = known_id(account_id, judging.ACCOUNT)
    who = on_behalf(admin, user_id, request_id_of(request))
    read: Read = partial(quarantine.of_account, user_id=user_id, account_id=account)
    found = await _read(parts, who, "quarantine", {"account_id": str(account)}, read)
    return respond(found, known_tags(if_none_match))


@router.post(
    "/users/{user_id}/accounts/{account_id}/quarantine",
    summary="Accept or reject a user's quarantined snapshot.",
    response_model=SnapshotJudgement,
    responses=pending(SnapshotJudgement)
    | refusals(ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def judge_users_snapshot(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: PathUser,
    account_id: PathId,
    body: JudgementBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Decide for a user; they see by whom."""
    who = on_behalf(admin, user_id, request_id_of(request), idempotency_key)
    return await judging.answered(parts, who, account_id, body)


@router.post(
    "/users/{user_id}/consolidate",
    summary="Sum all portfolios of a user anew.",
    response_model=Consolidation,
    responses=pending(Consolidation) | refusals(ErrorCode.FORBIDDEN),
)
async def consolidate_users(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: PathUser,
    body: Nothing = None,  # noqa: ARG001 - taken so that an unknown field is refused
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have every portfolio of the user summed anew from what is stored; no provider is asked."""
    who = on_behalf(admin, user_id, request_id_of(request), idempotency_key)
    return await consolidating.answered(parts, who, None, within=f"/v1/admin/users/{quote(user_id, safe='')}")


@router.get(
    "/users/{user_id}/consolidations/{request_id}",
    summary="See how far a user's consolidation is.",
    response_model=Consolidation,
    responses=refusals(ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND),
)
async def read_users_consolidation(
    admin: Admin,  # noqa: ARG001 - the policy
    parts: Parts,
    user_id: PathUser,
    request_id: PathId,
) -> Response:
    """What the user sees of it; it says nothing of what they hold but counts."""
    return consolidating.shown(await state(parts, user_id, known_id(request_id, "consolidation")))


async def _read(gateway: Gateway, who: Decider, what: str, details: Mapping[str, str], read: Read) -> Answer:
    """Read as the user, and note in the same transaction who did."""
    async with gateway.database.transaction(who.user_id) as conn:
        found = await read(conn)
        await commands.note(
            conn,
            who.user_id,
            "admin.read",
            details.get("account_id"),
            details={"what": what, "by": who.by, **details},
            request_id=who.request_id,
            now=gateway.clock.now(),
        )
    return found
