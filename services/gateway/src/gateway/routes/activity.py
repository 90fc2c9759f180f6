"""What accounts did and how they did: activities, orders, performance, portfolio history, sync runs."""

from dataclasses import replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.reads import history, orders, performance, syncs, transactions
from gateway.reads.pages import known_id, known_tags, respond
from gateway.reads.portfolios import portfolio_of
from gateway.reads.view import invalid
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.filters import (
    AccountFilter,
    AccountWants,
    Duplicates,
    EndDate,
    StartDate,
    Statuses,
    Symbol,
    distinct,
    ordered,
)
from gateway.schemas.activity import OrderPage, Performance, PortfolioHistory, SyncRunPage
from gateway.schemas.transactions import AccountActivities
from gateway.schemas.values import PageCursor, PageLimit, PathId

router = APIRouter(tags=["activity"])
ACCOUNT, CONNECTION = "account", "connection"
USUAL_DAYS, MOST_DAYS = 90, 3_660


@router.get(
    "/v1/accounts/{account_id}/activities",
    summary="List what an account did.",
    response_model=AccountActivities,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_activities(
    caller: Caller,
    parts: Parts,
    *,
    account_id: PathId,
    wanted: AccountWants,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One account's transactions, the newest day first, and the days of which they are known whole."""
    wanted = replace(wanted, account=known_id(account_id, ACCOUNT))
    found = await transactions.of_account(parts.database, caller.user_id, wanted, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/accounts/{account_id}/orders",
    summary="List an account's orders.",
    response_model=OrderPage,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_account_orders(
    caller: Caller,
    parts: Parts,
    *,
    account_id: PathId,
    statuses: Statuses = None,
    symbol: Symbol = None,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One account's recent orders as its broker last reported them, newest first."""
    wanted = orders.Wanted(known_id(account_id, ACCOUNT), distinct(statuses), symbol)
    found = await orders.page(parts.database, caller.user_id, wanted, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/orders",
    summary="List orders.",
    response_model=OrderPage,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_orders(
    caller: Caller,
    parts: Parts,
    *,
    account: AccountFilter = None,
    statuses: Statuses = None,
    symbol: Symbol = None,
    duplicates: Duplicates = False,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Recent orders of all your accounts, newest first."""
    wanted = orders.Wanted(account, distinct(statuses), symbol, duplicates)
    found = await orders.page(parts.database, caller.user_id, wanted, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/accounts/{account_id}/performance",
    summary="Read how an account did.",
    response_model=Performance,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_performance(
    caller: Caller,
    parts: Parts,
    *,
    account_id: PathId,
    start_date: StartDate = None,
    end_date: EndDate = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Daily totals and rates of return by the word of its provider; `reason` says why where there are none."""
    ordered(start_date, end_date)
    found = await performance.performance(
        parts.database, caller.user_id, known_id(account_id, ACCOUNT), start=start_date, end=end_date
    )
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/portfolio/history",
    summary="Read how a portfolio did.",
    response_model=PortfolioHistory,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_history(
    caller: Caller,
    parts: Parts,
    *,
    portfolio: Annotated[
        str, Query(max_length=64, description="The name or id of a portfolio of yours.")
    ] = "default",
    start_date: Annotated[
        StartDate, Query(description="The first day; 90 days before the last if left out.")
    ] = None,
    end_date: Annotated[EndDate, Query(description="The last day; today if left out or later.")] = None,
    base_currency: Annotated[
        str | None,
        Query(
            pattern=r"^[A-Z][A-Z0-9]{1,9}$",
            description="A currency to show each day's sum in as well. What has no rate is listed apart.",
        ),
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What your portfolio was worth day by day (UTC), by our own totals.

    Days on which nothing was computed carry the last totals forward and say so.
    """
    today = parts.clock.now().date()
    end = min(end_date or today, today)
    start = start_date or date.fromordinal(max(1, end.toordinal() - USUAL_DAYS))
    ordered(start, end)
    if (end - start).days >= MOST_DAYS:
        raise invalid("start_date", f"more than {MOST_DAYS} days before the last one")
    wanted = await portfolio_of(parts.database, caller.user_id, portfolio)
    found = await history.history(
        parts.database,
        parts.rates,
        caller.user_id,
        wanted,
        days=history.Range(start, end),
        base=base_currency,
        now=parts.clock.now(),
    )
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/connections/{connection_id}/syncs",
    summary="List a connection's sync runs.",
    response_model=SyncRunPage,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def list_syncs(
    caller: Caller,
    parts: Parts,
    *,
    connection_id: PathId,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What was read of the connection, when, by what cause and at what cost; newest first."""
    found = await syncs.page(
        parts.database, caller.user_id, known_id(connection_id, CONNECTION), cursor=cursor, limit=limit
    )
    return respond(found, known_tags(if_none_match))
