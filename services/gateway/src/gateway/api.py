"""The app: routes, errors and headers, without anything they talk to."""

from functools import partial

from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from contracts.errors import ErrorCode
from gateway.illustrate import illustrated
from gateway.limits import FILES, LONGER, BodyLimits
from gateway.policies import require_policies
from gateway.refusals import refusal
from gateway.routes import (
    accounts,
    activity,
    admin_connections,
    admin_connectors,
    admin_costs,
    admin_decisions,
    admin_orders,
    admin_trading,
    connections,
    consolidations,
    identity,
    imports,
    institutions,
    linking,
    manual,
    orders_placing,
    portfolio,
    portfolios,
    quarantine,
    refreshing,
    snapshots,
    stream,
    trading,
    transactions,
)
from gateway.settings import GatewaySettings
from persistence.database import DatabaseUnavailable
from service_kit.health import Health
from service_kit.metrics import Metrics
from service_kit.web import create_app, error_response, request_id_of

TITLE = "Onefolio"
DESCRIPTION = """One portfolio from many brokerages.

Every call needs a user's bearer token. Money and quantities are decimal strings, times are UTC. Lists come in pages:
pass `next_cursor` as `cursor` until it is null. Reads carry an `ETag`; send it as `If-None-Match` and an unchanged
answer is 304. Every error has the same body; act on its `code`.
"""
HANDLER_SECONDS = 30.0
ROUTERS = (
    institutions.router,
    linking.router,
    connections.router,
    refreshing.router,
    accounts.router,
    transactions.router,
    activity.router,
    stream.router,
    manual.router,
    imports.router,
    identity.router,
    quarantine.router,
    portfolio.router,
    snapshots.router,
    portfolios.router,
    consolidations.router,
    admin_decisions.router,
    admin_connections.router,
    admin_connectors.router,
    admin_costs.router,
    trading.router,
    admin_trading.router,
    orders_placing.router,
    admin_orders.router,
)


def create_api(settings: GatewaySettings, health: Health, metrics: Metrics) -> FastAPI:
    """The gateway's app; ``build`` gives its state to it.

    Raises:
        PolicyMissingError: a route does not say who may call it.
    """
    app = create_app(
        TITLE,
        settings,
        health,
        metrics,
        description=DESCRIPTION,
        handler_seconds=HANDLER_SECONDS,
        max_body_bytes=FILES,
        body_seconds=LONGER,
        middleware=[*([_cors(settings)] if settings.cors_origins else []), Middleware(BodyLimits)],
    )
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(DatabaseUnavailable, _on_unavailable)
    require_policies(app)
    app.openapi = partial(illustrated, app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def _cors(settings: GatewaySettings) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "Last-Event-ID",
            "X-Request-ID",
        ],
        expose_headers=["ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-ID"],
        allow_credentials=False,
        max_age=600,
    )


async def _on_unavailable(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the handler's signature
    """Answer 503 while the database is away."""
    answer = refusal(ErrorCode.UNAVAILABLE, headers={"Retry-After": "5"})
    return error_response(answer, request_id_of(request))
