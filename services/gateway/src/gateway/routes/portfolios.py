"""Named portfolios: make, read, change, drop."""

from fastapi import APIRouter, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.decisions import portfolios as defining
from gateway.decisions.decider import themselves
from gateway.decisions.portfolios import Defined
from gateway.reads import portfolios
from gateway.reads.pages import known_tags, respond
from gateway.reads.portfolios import portfolio_of
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.deciding import IdempotencyKey, decided, pending
from gateway.schemas.portfolios import (
    DroppedPortfolio,
    Portfolio,
    PortfolioBody,
    PortfolioChange,
    PortfolioPage,
)
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["portfolios"])


@router.get(
    "/v1/portfolios",
    summary="List portfolios.",
    response_model=PortfolioPage,
    responses=NOT_MODIFIED | refusals(),
)
async def list_portfolios(caller: Caller, parts: Parts, if_none_match: IfNoneMatch = None) -> Response:
    """Your portfolios with what they hold, `default` first."""
    return respond(await portfolios.page(parts.database, caller.user_id), known_tags(if_none_match))


@router.post(
    "/v1/portfolios",
    summary="Make a portfolio.",
    status_code=201,
    response_model=Portfolio,
    responses=pending(Portfolio) | refusals(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def create_portfolio(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    body: PortfolioBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Name a set of accounts; it has positions of its own, summed like those of `default`.

    A portfolio holds real accounts: naming one sight of an account names the account, through whichever
    connection it is counted. 409 where the name is taken, or `default`, or you have 50 portfolios.
    """
    who = themselves(caller, request_id_of(request), idempotency_key)
    made = await defining.create(parts, who, body.name, body.account_ids)
    return await _answered(parts, caller.user_id, made, 201)


@router.get(
    "/v1/portfolios/{portfolio_id}",
    summary="Read one portfolio.",
    response_model=Portfolio,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_portfolio(
    caller: Caller, parts: Parts, portfolio_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """One of your portfolios, by its id, its name or `default`."""
    wanted = await portfolio_of(parts.database, caller.user_id, portfolio_id)
    return respond(await portfolios.one(parts.database, caller.user_id, wanted), known_tags(if_none_match))


@router.patch(
    "/v1/portfolios/{portfolio_id}",
    summary="Change a portfolio.",
    response_model=Portfolio,
    responses=pending(Portfolio) | refusals(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def change_portfolio(
    caller: Caller, parts: Parts, request: Request, portfolio_id: PathId, body: PortfolioChange
) -> Response:
    """Give a portfolio another name, or other accounts. Accounts it has already may have gone since."""
    who = themselves(caller, request_id_of(request))
    changed = await defining.change(parts, who, portfolio_id, body.name, body.account_ids)
    return await _answered(parts, caller.user_id, changed, 200)


@router.delete(
    "/v1/portfolios/{portfolio_id}",
    summary="Drop a portfolio.",
    status_code=204,
    responses=pending(DroppedPortfolio) | refusals(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def drop_portfolio(caller: Caller, parts: Parts, request: Request, portfolio_id: PathId) -> Response:
    """Drop the name and the sums; the accounts stay. `default` cannot be dropped (409)."""
    dropped = await defining.drop(parts, themselves(caller, request_id_of(request)), portfolio_id)
    if dropped.applied:
        return Response(status_code=204)
    shown = DroppedPortfolio(id=dropped.portfolio.portfolio_id, status="pending")
    return decided(shown.model_dump_json(), status=204, applied=False, replayed=False)


async def _answered(parts: Parts, user_id: str, defined: Defined, status: int) -> Response:
    identity = str(defined.portfolio.portfolio_id)
    found = await portfolios.one(parts.database, user_id, identity)
    headers = {"Location": f"/v1/portfolios/{identity}"} if status == 201 else {}
    return decided(
        found.body or "", status=status, applied=defined.applied, replayed=defined.replayed, headers=headers
    )
