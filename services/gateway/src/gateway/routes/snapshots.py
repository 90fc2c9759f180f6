"""What positions rest on: stored snapshots and conservation checks."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.reads import checks, snapshots
from gateway.reads.pages import known_id, known_tags, respond
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.schemas.explain import CheckPage, StoredSnapshot, StoredSnapshotPage
from gateway.schemas.values import PageCursor, PageLimit, PathId

router = APIRouter(tags=["evidence"])


@router.get(
    "/v1/snapshots/{snapshot_id}",
    summary="Read a stored snapshot.",
    response_model=StoredSnapshot,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_snapshot(
    caller: Caller, parts: Parts, snapshot_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """What an account was seen to hold in one sync run, as it is stored. Superseded ones are kept for some hours."""
    found = await snapshots.one(parts.database, caller.user_id, known_id(snapshot_id, snapshots.SNAPSHOT))
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/accounts/{account_id}/snapshots",
    summary="List an account's snapshots.",
    response_model=StoredSnapshotPage,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_snapshots(
    caller: Caller,
    parts: Parts,
    *,
    account_id: PathId,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The complete snapshots of an account that are still kept, newest first, without their content."""
    found = await snapshots.page(
        parts.database, caller.user_id, known_id(account_id, "account"), cursor=cursor, limit=limit
    )
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/checks",
    summary="List conservation checks.",
    response_model=CheckPage,
    responses=NOT_MODIFIED | refusals(),
)
async def list_checks(
    caller: Caller,
    parts: Parts,
    *,
    outcome: Annotated[
        checks.Outcome | None, Query(description="Only checks that ended in this way.")
    ] = None,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Whether what is counted of each real account adds up to its provider's own total, with the exact difference."""
    found = await checks.page(parts.database, caller.user_id, outcome, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))
