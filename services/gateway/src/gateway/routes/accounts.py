"""Accounts: each provider account apart."""

from fastapi import APIRouter, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.reads import accounts
from gateway.reads.pages import known_id, known_tags, respond
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.schemas.accounts import Account, AccountPage, AccountPositions, Balances
from gateway.schemas.values import PageCursor, PageLimit, PathId, TypeFilter

router = APIRouter(tags=["accounts"])
ACCOUNT = "account"


@router.get(
    "/v1/accounts",
    summary="List accounts.",
    response_model=AccountPage,
    responses=NOT_MODIFIED | refusals(),
)
async def list_accounts(
    caller: Caller,
    parts: Parts,
    *,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Every account as its connection reports it; one real account may be seen through several."""
    found = await accounts.page(parts.database, caller.user_id, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/accounts/{account_id}",
    summary="Read one account.",
    response_model=Account,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_account(
    caller: Caller, parts: Parts, account_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """One of your accounts."""
    found = await accounts.one(parts.database, caller.user_id, known_id(account_id, ACCOUNT))
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/accounts/{account_id}/balances",
    summary="Read an account's balances.",
    response_model=Balances,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_balances(
    caller: Caller, parts: Parts, account_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """The money side of an account, per currency."""
    found = await accounts.balances(parts.database, caller.user_id, known_id(account_id, ACCOUNT))
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/accounts/{account_id}/positions",
    summary="Read what an account holds.",
    response_model=AccountPositions,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_account_positions(
    caller: Caller,
    parts: Parts,
    *,
    account_id: PathId,
    kind: TypeFilter = None,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What this account holds by its own provider's word, apart from all others."""
    found = await accounts.holdings(
        parts.database,
        caller.user_id,
        known_id(account_id, ACCOUNT),
        kind=kind,
        cursor=cursor,
        limit=limit,
    )
    return respond(found, known_tags(if_none_match))
