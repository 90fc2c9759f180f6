"""The portfolio: consolidated positions, how each came to be, and the summary."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Gateway, Parts
from gateway.reads import explain, positions
from gateway.reads.grouping import GroupBy, groups
from gateway.reads.pages import known_id, known_tags, respond
from gateway.reads.portfolios import portfolio_of
from gateway.reads.summary import summary
from gateway.reads.view import View, wanted_base, wanted_proxies
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.schemas.explain import Explanation
from gateway.schemas.groups import PositionGroups
from gateway.schemas.portfolio import Position, PositionPage, Summary
from gateway.schemas.values import PageCursor, PageLimit, PathId, TypeFilter

router = APIRouter(tags=["portfolio"])
DEFAULT = "default"
PortfolioName = Annotated[
    str, Query(alias="portfolio", max_length=64, description="The name or id of a portfolio of yours.")
]
CashProxy = Annotated[
    str | None,
    Query(
        max_length=400,
        description="Tickers to show cash under, as `USD:SGOV,CAD:CASH.TO`; `none` shows cash as cash. Nothing stored "
        "changes: the row keeps its id, quantity and value, and says `proxy_for`.",
    ),
]
BaseCurrency = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Z][A-Z0-9]{1,9}$",
        description="A currency to show sums in as well. What has no rate is listed apart.",
    ),
]


@router.get(
    "/v1/positions",
    summary="Read the consolidated positions.",
    response_model=PositionPage | PositionGroups,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_positions(
    caller: Caller,
    parts: Parts,
    *,
    portfolio: PortfolioName = DEFAULT,
    kind: TypeFilter = None,
    group_by: Annotated[
        GroupBy | None, Query(description="Answer whole groups, `limit` of them to a page.")
    ] = None,
    cash_proxy: CashProxy = None,
    base: BaseCurrency = None,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What you hold of each instrument over all real accounts, with the parts each sum is made of.

    The tag is the portfolio's version and its newest snapshot's time, and how you asked to see it.
    """
    user_id, tags = caller.user_id, known_tags(if_none_match)
    proxies = wanted_proxies(cash_proxy, parts.settings.cash_proxies)
    wanted = await portfolio_of(parts.database, user_id, portfolio)
    view = await _view(parts, user_id, wanted, proxies, base)
    page = partial(groups, by=group_by) if group_by else partial(positions.page, known=tags)
    found = await page(parts.database, user_id, wanted, kind=kind, cursor=cursor, limit=limit, view=view)
    return respond(found, tags)


@router.get(
    "/v1/positions/{position_id}",
    summary="Read one consolidated position.",
    response_model=Position,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_position(
    caller: Caller,
    parts: Parts,
    *,
    position_id: PathId,
    cash_proxy: CashProxy = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One position, with its contributions and the duplicates that were not counted."""
    view = View(wanted_proxies(cash_proxy, parts.settings.cash_proxies))
    found = await positions.one(parts.database, caller.user_id, known_id(position_id, "position"), view)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/positions/{position_id}/explain",
    summary="See how a position came to be.",
    response_model=Explanation,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def explain_position(
    caller: Caller, parts: Parts, position_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """Its contributions with their snapshots, the duplicates with the rule that excluded them, and the evidence.

    `sums` adds the contributions up anew: `exact` says whether that is the position, to the last digit.
    """
    found = await explain.explain(parts.database, caller.user_id, known_id(position_id, "position"))
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/portfolio/summary",
    summary="See the portfolio at a glance.",
    response_model=Summary,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_summary(
    caller: Caller,
    parts: Parts,
    *,
    portfolio: PortfolioName = DEFAULT,
    base: BaseCurrency = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Totals per currency, type and provider; freshness; checks; what is stale or waits for a decision."""
    wanted = await portfolio_of(parts.database, caller.user_id, portfolio)
    view = await _view(parts, caller.user_id, wanted, {}, base)
    found = await summary(parts.database, caller.user_id, wanted, view)
    return respond(found, known_tags(if_none_match))


async def _view(
    parts: Gateway, user_id: str, portfolio: str, proxies: dict[str, str], base: str | None
) -> View:
    """How to show the portfolio.

    Raises:
        ApiError: 422, the base is no currency that is known.
    """
    if base is None:
        return View(proxies)
    held = await positions.currencies(parts.database, user_id, portfolio)
    return View(proxies, await wanted_base(parts.rates, base, held, parts.clock.now()))
