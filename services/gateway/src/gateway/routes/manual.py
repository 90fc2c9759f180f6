"""Accounts entered by hand: make, edit and delete them and what they hold."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.decisions.decider import themselves
from gateway.manual import changes, edits, entering, show, store
from gateway.manual.changes import ACCOUNT, Alter, Outcome, Target
from gateway.manual.edits import HOLDING
from gateway.manual.store import Row
from gateway.reads.pages import Answer, known_id, known_tags, respond
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.deciding import IdempotencyKey, decided, pending
from gateway.schemas.manual import (
    LIMITS,
    DeletedAccount,
    HoldingBody,
    HoldingChange,
    HoldingsBody,
    HoldingsChange,
    ManualAccount,
    ManualAccountBody,
    ManualAccountChange,
    ManualHoldings,
)
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["manual accounts"])
ADDED = "added"
IfMatch = Annotated[
    str | None,
    Header(
        max_length=2000,
        description="The `ETag` of the state you edit; 412 where it has changed since. Without it the last one wins.",
    ),
]
EDIT_REFUSALS = refusals(
    ErrorCode.NOT_FOUND,
    ErrorCode.NOT_A_MANUAL_ACCOUNT,
    ErrorCode.PRECONDITION_FAILED,
    ErrorCode.BODY_TOO_LARGE,
)


@router.post(
    "/v1/accounts/manual",
    summary="Enter an account by hand.",
    status_code=201,
    response_model=ManualAccount,
    responses=pending(ManualAccount) | refusals(ErrorCode.UNKNOWN_INSTITUTION, ErrorCode.BODY_TOO_LARGE),
    description="An account no provider reports, with what it holds. It is summed with the others, after those that "
    f"a provider reports where it is marked as one of them. {LIMITS}",
)
async def create_account(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    body: ManualAccountBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Enter an account."""
    slug, name = changes.DEFAULT_INSTITUTION
    if body.institution is not None:
        slug, name = edits.institution(body.institution, parts.coverage)
    account = changes.new_account(
        caller.user_id,
        parts.clock.now(),
        name=body.name,
        institution=slug,
        institution_name=name,
        type=body.type,
        currency=entering.currency(body.currency),
        mask=edits.tail(body.mask),
    )
    who = themselves(caller, request_id_of(request), idempotency_key)
    asked = body.model_dump(mode="json")
    made, replayed = await changes.create(parts, who, account, entering.entries(body.holdings), asked)
    shown = show.account(made.account, len(made.rows), applied=made.applied)
    return _answer(shown, made, 201, replayed=replayed)


@router.patch(
    "/v1/accounts/{account_id}",
    summary="Change an account entered by hand.",
    response_model=ManualAccount,
    responses=pending(ManualAccount)
    | EDIT_REFUSALS
    | refusals(ErrorCode.NOT_FOUND, ErrorCode.UNKNOWN_INSTITUTION),
)
async def change_account(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    body: ManualAccountChange,
    if_match: IfMatch = None,
) -> Response:
    """Give it another name, type, institution or tail of its number. What a provider reports cannot be edited (409)."""
    given = body.model_dump(exclude_unset=True)
    wanted = {field: given[field] for field in ("name", "type") if given.get(field) is not None}
    if body.institution is not None:
        slug, name = edits.institution(body.institution, parts.coverage)
        wanted |= {"institution": slug, "institution_name": name}
    if "mask" in given:
        wanted["mask"] = edits.tail(body.mask)
    target = _target(caller.user_id, account_id, request, if_match)
    done = await changes.change(parts, target, "manual_account.changed", edits.described(wanted))
    return _answer(show.account(done.account, len(done.rows), applied=done.applied), done)


@router.delete(
    "/v1/accounts/{account_id}",
    summary="Delete an account entered by hand.",
    status_code=204,
    responses=pending(DeletedAccount) | EDIT_REFUSALS,
)
async def delete_account(
    caller: Caller, parts: Parts, request: Request, account_id: PathId, if_match: IfMatch = None
) -> Response:
    """Delete it with all it holds. Repeating it is harmless. What a provider reports cannot be deleted (409)."""
    target = _target(caller.user_id, account_id, request, if_match)
    gone = await changes.delete(parts, target)
    if gone.applied:
        return Response(status_code=204)
    shown = DeletedAccount(id=target.account_id, status="pending")
    return decided(shown.model_dump_json(), status=204, applied=False, replayed=False)


@router.get(
    "/v1/accounts/{account_id}/holdings/manual",
    summary="Read holdings as they were entered.",
    response_model=ManualHoldings,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND, ErrorCode.NOT_A_MANUAL_ACCOUNT),
)
async def read_entered(
    caller: Caller, parts: Parts, account_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """All that was entered, in that order; what follows from it is under `positions`. Its `ETag` is for `If-Match`."""
    identity = known_id(account_id, ACCOUNT)
    async with parts.database.transaction(caller.user_id) as conn:
        account = await changes.known(conn, caller.user_id, identity)
        rows = await store.rows(conn, caller.user_id, identity)
    shown = ManualHoldings(
        account_id=identity,
        version=account.version,
        items=[show.holding(row) for row in rows],
        next_cursor=None,
    )
    return respond(Answer(shown.model_dump_json(), account.etag), known_tags(if_none_match))


@router.put(
    "/v1/accounts/{account_id}/holdings",
    summary="Replace all holdings of an account entered by hand.",
    response_model=HoldingsChange,
    responses=pending(HoldingsChange) | EDIT_REFUSALS,
)
async def replace_holdings(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    body: HoldingsBody,
    if_match: IfMatch = None,
) -> Response:
    """All of the list or nothing of it; one row per instrument and currency. An empty list empties the account."""
    target = _target(caller.user_id, account_id, request, if_match)
    return await _changed(parts, target, "replaced", edits.all_new(entering.entries(body.holdings)))


@router.post(
    "/v1/accounts/{account_id}/holdings",
    summary="Add a holding.",
    status_code=201,
    response_model=HoldingsChange,
    responses=pending(HoldingsChange) | EDIT_REFUSALS,
)
async def add_holding(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    body: HoldingBody,
    if_match: IfMatch = None,
) -> Response:
    """One holding more; 422 where the account holds that instrument in that currency already."""
    target, own = _target(caller.user_id, account_id, request, if_match), uuid4()
    alter = edits.one_more(own, entering.entry(body))
    return await _changed(parts, target, ADDED, alter, own)


@router.patch(
    "/v1/accounts/{account_id}/holdings/{holding_id}",
    summary="Change a holding.",
    response_model=HoldingsChange,
    responses=pending(HoldingsChange) | EDIT_REFUSALS,
)
async def change_holding(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    holding_id: PathId,
    body: HoldingChange,
    if_match: IfMatch = None,
) -> Response:
    """Change what is named. A value that was entered for another quantity or price is worked out anew."""
    target, own = _target(caller.user_id, account_id, request, if_match), known_id(holding_id, HOLDING)
    alter = edits.other_fields(own, entering.changes(body))
    return await _changed(parts, target, "changed", alter, own)


@router.delete(
    "/v1/accounts/{account_id}/holdings/{holding_id}",
    summary="Remove a holding.",
    response_model=HoldingsChange,
    responses=pending(HoldingsChange) | EDIT_REFUSALS,
)
async def remove_holding(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    account_id: PathId,
    holding_id: PathId,
    if_match: IfMatch = None,
) -> Response:
    """One holding less."""
    target = _target(caller.user_id, account_id, request, if_match)
    return await _changed(parts, target, "removed", edits.without(known_id(holding_id, HOLDING)))


def _target(user_id: str, account_id: str, request: Request, if_match: str | None) -> Target:
    return Target(user_id, known_id(account_id, ACCOUNT), request_id_of(request), if_match)


async def _changed(
    parts: Parts, target: Target, what: str, alter: Alter, own: UUID | None = None
) -> Response:
    """Change holdings; ``own`` is the one to show, and a new one where it was added."""
    done = await changes.change(parts, target, f"manual_holdings.{what}", alter)
    shown = show.change(done.account, done.rows, _own(done.rows, own), applied=done.applied)
    return _answer(shown, done, 201 if what == ADDED else 200)


def _own(rows: Sequence[Row], holding_id: UUID | None) -> Row | None:
    return next((row for row in rows if row.holding_id == holding_id), None)


def _answer(shown: BaseModel, done: Outcome, status: int = 200, *, replayed: bool = False) -> Response:
    headers = {"ETag": f'"{done.account.etag}"'}
    if isinstance(shown, ManualAccount):
        headers["Location"] = f"/v1/accounts/{shown.id}"
    body = shown.model_dump_json()
    return decided(body, status=status, applied=done.applied, replayed=replayed, headers=headers)
