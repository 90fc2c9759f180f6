"""What providers cost, over all users, and the budgets. Looking and setting are noted in the admin's audit trail."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from contracts.errors import ErrorCode
from gateway import commands
from gateway.auth.admins import Admin
from gateway.auth.tokens import Principal
from gateway.context import Gateway, Parts
from gateway.guards.budget import day_of
from gateway.ledger import budgets, reports, subscriptions
from gateway.ledger.forecast import forecast
from gateway.ledger.operator import as_operator
from gateway.ledger.spend import EVERYBODY, GLOBAL, scope_of
from gateway.reads.pages import read_offset
from gateway.refusals import refusal
from gateway.routes.answers import refusals
from gateway.schemas.costs import BudgetBody, Budgets, Costs, Forecast, GroupBy, UnsettledCharges
from gateway.schemas.values import PageCursor, PageLimit
from persistence.database import Connection
from service_kit.web import request_id_of

router = APIRouter(prefix="/v1/admin", tags=["admin"])
LONGEST = timedelta(days=366)
DEFAULT = "default"


@router.get(
    "/costs",
    summary="See what providers cost.",
    response_model=Costs,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def read_costs(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    first: Annotated[
        date | None, Query(alias="from", description="The first day (UTC); by default that of this month.")
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", description="The last day (UTC); by default today.")
    ] = None,
    group_by: GroupBy = "provider",
    cursor: PageCursor = None,
    limit: PageLimit = 100,
) -> Response:
    """The ledger of all users, summed by provider, user, day or kind (refresh, subscription)."""
    today = day_of(parts.clock.now())
    last = last or max(today, first or today)
    first = first or last.replace(day=1)
    if not timedelta(0) <= last - first <= LONGEST:
        raise _wrong(
            ["query", "from"], "range", f"from one day to a later one, at most {LONGEST.days} days on"
        )
    offset = read_offset(cursor)
    noted = {"from": first.isoformat(), "to": last.isoformat(), "group_by": group_by}
    async with _operating(parts, admin, request, "admin.costs", noted) as conn:
        return _shown(await reports.costs(conn, first, last, group_by, offset=offset, limit=limit))


@router.get(
    "/costs/unsettled",
    summary="List refreshes that nobody has settled.",
    response_model=UnsettledCharges,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_unsettled(
    admin: Admin, parts: Parts, *, request: Request, cursor: PageCursor = None, limit: PageLimit = 100
) -> Response:
    """Reserved charges, and those whose outcome is unknown. They count against budgets until a word comes."""
    offset = read_offset(cursor)
    async with _operating(parts, admin, request, "admin.charges", {}) as conn:
        return _shown(await reports.unsettled(conn, offset=offset, limit=limit))


@router.get(
    "/costs/forecast",
    summary="See what this month will cost.",
    response_model=Forecast,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def read_forecast(admin: Admin, parts: Parts, request: Request) -> Response:
    """Refreshes so far and the rest of the month at the same rate, and what is billed by the month."""
    now, prices = parts.clock.now(), parts.settings.prices
    async with _operating(parts, admin, request, "admin.forecast", {}) as conn:
        refreshes = await reports.refreshes_of_month(conn, now)
        billed = subscriptions.counts(await subscriptions.billed(conn), prices)
    return _shown(forecast(refreshes, billed, prices, now))


@router.get(
    "/budgets",
    summary="List the daily budgets.",
    response_model=Budgets,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_budgets(admin: Admin, parts: Parts, request: Request) -> Response:
    """What refreshes may cost a day: all together, each user, and users with a budget of their own."""
    async with _operating(parts, admin, request, "admin.budgets", {}) as conn:
        return _shown(await budgets.shown(conn, parts.settings.budgets))


@router.put(
    "/budgets",
    summary="Set a daily budget.",
    response_model=Budgets,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def set_budget(admin: Admin, parts: Parts, request: Request, body: BudgetBody) -> Response:
    """It holds from the next refresh on.

    `daily_limit` null lifts the limit, `"0"` stops paid refreshes, `"default"` drops what was set: then everybody's
    budget holds for the user, and the settings' for everybody.
    """
    scope = _scope(body.scope, body.user_id)
    noted = {"scope": scope, "daily_limit": body.daily_limit}
    async with _operating(parts, admin, request, "budget.set", noted) as conn:
        if body.daily_limit == DEFAULT:
            await budgets.drop(conn, scope)
        else:
            limit = None if body.daily_limit is None else Decimal(body.daily_limit)
            await budgets.put(conn, scope, limit, f"admin:{admin.user_id}", parts.clock.now())
        return _shown(await budgets.shown(conn, parts.settings.budgets))


@asynccontextmanager
async def _operating(
    gateway: Gateway, admin: Principal, request: Request, action: str, noted: Mapping[str, Any]
) -> AsyncIterator[Connection]:
    """A transaction of an admin who sees every user's charges, with a note of what they looked at or did."""
    async with gateway.database.transaction(admin.user_id) as conn:
        await as_operator(conn)
        await commands.note(
            conn,
            admin.user_id,
            action,
            None,
            details=noted,
            request_id=request_id_of(request),
            now=gateway.clock.now(),
        )
        yield conn


def _scope(scope: str, user_id: str | None) -> str:
    if (scope == "user") != (user_id is not None):
        raise _wrong(["body", "user_id"], "scope", "user_id goes with the scope `user`, and only with it")
    if user_id is not None:
        return scope_of(user_id)
    return GLOBAL if scope == "global" else EVERYBODY


def _wrong(location: list[str], kind: str, message: str) -> Exception:
    wrong = {"location": location, "type": kind, "message": message}
    return refusal(ErrorCode.VALIDATION_FAILED, message, details={"errors": [wrong]})


def _shown(body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(body), media_type="application/json")
