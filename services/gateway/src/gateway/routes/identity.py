"""Which accounts are one: see why, and decide."""

from fastapi import APIRouter, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.decisions.decider import Decider, themselves
from gateway.decisions.identity import decide, pair_of
from gateway.reads import identity
from gateway.reads.pages import known_id, known_tags, respond
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.deciding import IdempotencyKey, decided, pending
from gateway.schemas.decisions import Identity, IdentityBody, IdentityDecision, PendingPairs, Standing
from gateway.schemas.values import PageCursor, PageLimit, PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["identity"])
ACCOUNT = "account"


@router.get(
    "/v1/identity/pending",
    summary="List the accounts that wait for a decision.",
    response_model=PendingPairs,
    responses=NOT_MODIFIED | refusals(),
)
async def list_pending(
    caller: Caller,
    parts: Parts,
    *,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Pairs of accounts that may be one, with what speaks for and against it. One of each is counted meanwhile."""
    async with parts.database.transaction(caller.user_id) as conn:
        found = await identity.pending(conn, caller.user_id, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/accounts/{account_id}/identity",
    summary="See which real account an account is, and why.",
    response_model=Identity,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_identity(
    caller: Caller, parts: Parts, account_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """The real account, every other sight of it, the evidence on each pair, and all that was decided."""
    identity_id = known_id(account_id, ACCOUNT)
    async with parts.database.transaction(caller.user_id) as conn:
        found = await identity.of_account(conn, caller.user_id, identity_id)
    return respond(found, known_tags(if_none_match))


@router.post(
    "/v1/accounts/{account_id}/identity",
    summary="Say whether two accounts are one.",
    response_model=IdentityDecision,
    responses=pending(IdentityDecision) | refusals(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def decide_identity(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    body: IdentityBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Say `same` or `different` of two accounts of yours, or `undo` what was said. No score overrides it.

    Two accounts of one connection are never the same (409); neither is there anything to undo where nothing was
    decided (409).
    """
    who = themselves(caller, request_id_of(request), idempotency_key)
    return await answered(parts, who, account_id, body)


async def answered(parts: Parts, who: Decider, account_id: str, body: IdentityBody) -> Response:
    """Take the decision and answer it.

    Raises:
        ApiError: it is refused.
    """
    pair = pair_of(known_id(account_id, ACCOUNT), known_id(body.other_account_id, ACCOUNT))
    taken = await decide(parts, who, pair, body.verdict)
    real = taken.real_accounts
    shown = IdentityDecision(
        decision_id=taken.decision_id,
        verdict=taken.wish,
        status="applied" if taken.applied else "pending",
        account_ids=list(real),
        accounts=[Standing(account_id=one, real_account_id=real[one]) for one in real],
        same_real_account=len(set(real.values())) == 1 and None not in real.values(),
    )
    return decided(shown.model_dump_json(), status=200, applied=taken.applied, replayed=taken.replayed)
