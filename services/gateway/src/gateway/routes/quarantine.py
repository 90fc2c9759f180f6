"""Quarantined snapshots: see what would change, and accept or reject."""

from fastapi import APIRouter, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.decisions.decider import Decider, themselves
from gateway.decisions.quarantine import judge
from gateway.reads import quarantine
from gateway.reads.pages import known_id, known_tags, respond
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.deciding import IdempotencyKey, decided, pending
from gateway.schemas.decisions import JudgementBody, Quarantine, SnapshotJudgement
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["quarantine"])
ACCOUNT = "account"


@router.get(
    "/v1/accounts/{account_id}/quarantine",
    summary="See an account's quarantined snapshot.",
    response_model=Quarantine,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_quarantine(
    caller: Caller, parts: Parts, account_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """The snapshot that would have erased most of the account, beside the one that stays, and what would change."""
    identity = known_id(account_id, ACCOUNT)
    async with parts.database.transaction(caller.user_id) as conn:
        found = await quarantine.of_account(conn, caller.user_id, identity)
    return respond(found, known_tags(if_none_match))


@router.post(
    "/v1/accounts/{account_id}/quarantine",
    summary="Accept or reject a quarantined snapshot.",
    response_model=SnapshotJudgement,
    responses=pending(SnapshotJudgement) | refusals(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def judge_snapshot(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    body: JudgementBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Say what becomes of the quarantined snapshot of this version; 409 where none is quarantined any more."""
    who = themselves(caller, request_id_of(request), idempotency_key)
    return await answered(parts, who, account_id, body)


async def answered(parts: Parts, who: Decider, account_id: str, body: JudgementBody) -> Response:
    """Give the judgement and answer it.

    Raises:
        ApiError: it is refused.
    """
    given = await judge(parts, who, known_id(account_id, ACCOUNT), body.version, body.verdict)
    shown = SnapshotJudgement.model_validate(
        {
            "judgement_id": given.judgement_id,
            "account_id": given.account_id,
            "version": given.version,
            "verdict": given.verdict,
            "status": "applied" if given.applied else "pending",
            "state": given.state,
        }
    )
    return decided(shown.model_dump_json(), status=200, applied=given.applied, replayed=given.replayed)
