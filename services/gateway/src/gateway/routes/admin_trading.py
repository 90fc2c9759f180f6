"""Switches and limits of trading, for operators. Looking and setting are noted in the admin's audit trail."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from contracts.errors import ErrorCode
from gateway import commands
from gateway.auth.admins import Admin
from gateway.auth.tokens import Principal
from gateway.context import Gateway, Parts
from gateway.refusals import refusal
from gateway.routes.answers import refusals
from gateway.schemas.trading import LimitBody, LimitsAnswer, SwitchBody, Switches
from gateway.trading import limits, switches
from persistence.database import Connection
from service_kit.web import request_id_of

router = APIRouter(prefix="/v1/admin/trading", tags=["admin"])


@router.get(
    "/switches",
    summary="List the switches of trading.",
    response_model=Switches,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_switches(admin: Admin, parts: Parts, request: Request) -> Response:
    """Every switch that was ever thrown. Trading is on where none that applies is off."""
    async with _noted(parts, admin, request, "admin.trading_switches", {}) as conn:
        return _shown(await switches.shown(conn, enabled=parts.settings.trading_enabled))


@router.put(
    "/switches",
    summary="Throw a switch of trading.",
    response_model=Switches,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def throw_switch(admin: Admin, parts: Parts, request: Request, body: SwitchBody) -> Response:
    """Stop or allow orders: of everybody, of one provider, or of one user.

    Off holds for every order that is not on its way to a broker when this is answered. Orders can still be canceled.
    """
    scope = _switch_scope(body)
    noted = {"scope": scope, "enabled": body.enabled, "reason": body.reason}
    async with _noted(parts, admin, request, "trading_switch.set", noted) as conn:
        await switches.turn(
            conn,
            scope,
            enabled=body.enabled,
            reason=body.reason,
            by=f"admin:{admin.user_id}",
            now=parts.clock.now(),
        )
        return _shown(await switches.shown(conn, enabled=parts.settings.trading_enabled))


@router.get(
    "/limits",
    summary="List the limits of trading.",
    response_model=LimitsAnswer,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_limits(admin: Admin, parts: Parts, request: Request) -> Response:
    """This installation's limits, and what was set on top. Of those that apply to a user the least holds."""
    async with _noted(parts, admin, request, "admin.trading_limits", {}) as conn:
        return _shown(await limits.shown(conn, parts.settings.trading_limits))


@router.put(
    "/limits",
    summary="Tighten the limits of trading.",
    response_model=LimitsAnswer,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def set_limits(admin: Admin, parts: Parts, request: Request, body: LimitBody) -> Response:
    """Tighten them, for everybody or for one user; what would be looser than what holds anyway is refused.

    Amounts are in the currency of each order; the day's are added up by currency.
    """
    scope = limits.GLOBAL if body.user_id is None else limits.of_user(body.user_id)
    noted = {
        "scope": scope,
        "max_order_notional": body.max_order_notional,
        "max_day_notional": body.max_day_notional,
    }
    async with _noted(parts, admin, request, "trading_limits.set", noted) as conn:
        held = await limits.rows(conn, [limits.GLOBAL])
        above = parts.settings.trading_limits
        if scope != limits.GLOBAL:
            above = limits.tightened(above, held.get(limits.GLOBAL))
        if names := limits.looser(above, body.row):
            raise _looser(names)
        await limits.put(conn, scope, body.row, f"admin:{admin.user_id}", parts.clock.now())
        return _shown(await limits.shown(conn, parts.settings.trading_limits))


@asynccontextmanager
async def _noted(
    gateway: Gateway, admin: Principal, request: Request, action: str, noted: Mapping[str, Any]
) -> AsyncIterator[Connection]:
    """A transaction of an admin, with a note of what they looked at or did."""
    async with gateway.database.transaction(admin.user_id) as conn:
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


def _switch_scope(body: SwitchBody) -> str:
    if body.provider is not None:
        return switches.of_provider(body.provider)
    return switches.GLOBAL if body.user_id is None else switches.of_user(body.user_id)


def _looser(names: list[str]) -> Exception:
    message = "Limits can only be tightened: this is looser than what holds anyway."
    errors = [{"location": ["body", name], "type": "looser", "message": message} for name in names]
    return refusal(ErrorCode.VALIDATION_FAILED, message, details={"errors": errors})


def _shown(body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(body), media_type="application/json")
