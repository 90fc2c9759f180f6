"""Builds the ASGI app of the SnapTrade face."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from provider_sandbox.settings import Settings
from provider_sandbox.snaptrade import (
    account_routes,
    connection_routes,
    reference_routes,
    trading_routes,
    user_routes,
)
from provider_sandbox.snaptrade.endpoint import json_response, route
from provider_sandbox.snaptrade.entrance import Entrance
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.portal import Portal
from provider_sandbox.snaptrade.trading_placing import placing_routes
from provider_sandbox.state import State
from provider_sandbox.traffic import Traffic

ENDPOINTS = (
    *trading_routes.ENDPOINTS,
    *user_routes.ENDPOINTS,
    *connection_routes.ENDPOINTS,
    *account_routes.ENDPOINTS,
    *reference_routes.ENDPOINTS,
)


async def _unknown(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "An unexpected error occurred"
    return json_response(
        {"detail": detail, "status_code": status, "code": "1011" if status == 404 else "1000"}, status
    )


def build_snaptrade_app(state: State, settings: Settings) -> ASGIApp:
    """Return the face as an ASGI app that shares `state`; registers itself for control."""
    face = SnapTradeFace(state, settings)
    routes = [
        *(route(face, endpoint) for endpoint in ENDPOINTS),
        *placing_routes(face),
        *Portal(face).routes(),
    ]
    inner = Starlette(routes=routes, exception_handlers={404: _unknown, 405: _unknown, 500: _unknown})
    return Entrance(Traffic(inner, state, face.provider, routes))
