"""The portfolio: consolidated positions, and the summary."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from contracts.errors import ErrorCode
from contracts.ids import portfolio_id
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.reads import positions
from gateway.reads.pages import known_id, known_tags, respond
from gateway.reads.summary import summary
from gateway.refusals import not_found
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.schemas.portfolio import Position, PositionPage, Summary
from gateway.schemas.values import PageCursor, PageLimit, PathId, TypeFilter

router = APIRouter(tags=["portfolio"])
DEFAULT = "default"
PortfolioName = Annotated[
    str, Query(alias="portfolio", max_length=64, description="The name or id of a portfolio of yours.")
]


@router.get(
    "/v1/positions",
    summary="Read the consolidated positions.",
    response_model=PositionPage,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_positions(
    caller: Caller,
    parts: Parts,
    *,
    portfolio: PortfolioName = DEFAULT,
    kind: TypeFilter = None,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What you hold of each instrument over all real accounts, with the parts each sum is made of.

    The tag is the portfolio's version and its newest snapshot's time.
    """
    found = await positions.page(
        parts.database,
        caller.user_id,
        _portfolio(caller.user_id, portfolio),
        kind=kind,
        cursor=cursor,
        limit=limit,
        known=(tags := known_tags(if_none_match)),
    )
    return respond(found, tags)


@router.get(
    "/v1/positions/{position_id}",
    summary="Read one consolidated position.",
    response_model=Position,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_position(
    caller: Caller, parts: Parts, position_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """One position, with its contributions and the duplicates that were not counted."""
    found = await positions.one(parts.database, caller.user_id, known_id(position_id, "position"))
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/portfolio/summary",
    summary="See the portfolio at a glance.",
    response_model=Summary,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_summary(
    caller: Caller, parts: Parts, portfolio: PortfolioName = DEFAULT, if_none_match: IfNoneMatch = None
) -> Response:
    """Totals per currency, type and provider; freshness; checks; what is stale or waits for a decision."""
    found = await summary(parts.database, caller.user_id, _portfolio(caller.user_id, portfolio))
    return respond(found, known_tags(if_none_match))


def _portfolio(user_id: str, wanted: str) -> str:
    """The id of the user's portfolio of that name; everyone has ``default``, empty or not.

    Raises:
        ApiError: 404, the user has no such portfolio.
    """
    default = portfolio_id(user_id)
    if wanted not in {DEFAULT, default}:
        raise not_found("portfolio")
    return default
