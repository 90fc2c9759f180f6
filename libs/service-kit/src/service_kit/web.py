"""The web app every service starts from."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, Response

from .api_errors import (
    ApiError,
    ErrorBody,
    error_response,
    on_api_error,
    on_http_exception,
    on_validation_error,
    request_id_of,
)
from .health import Health
from .metrics import Metrics, RequestMetrics
from .middleware import BodyLimit, Deadline, RequestContext
from .settings import ServiceSettings

__all__ = ["ApiError", "ErrorBody", "create_app", "error_response", "request_id_of"]

DOCS_CSP = (
    "default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; connect-src 'self'; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; img-src data: https://fastapi.tiangolo.com; "
    "frame-ancestors 'none'"
)
_SCHEMAS = "#/components/schemas/"


def create_app(
    title: str,
    settings: ServiceSettings,
    health: Health,
    metrics: Metrics,
    *,
    version: str = "0.1.0",
    description: str = "",
    max_body_bytes: int = 64 * 1024,
    body_seconds: float = 10.0,
    handler_seconds: float = 30.0,
    docs: bool | None = None,
    operations: bool = True,
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """Build an app that answers errors, limits, health and metrics as every Onefolio API does.

    Args:
        title: name in the OpenAPI document.
        settings: the profile decides whether documentation pages are on, unless ``docs`` says so.
        health: served at ``/healthz`` and ``/readyz``.
        metrics: served at ``/metrics``; requests are counted in it.
        version: of the API, in the OpenAPI document.
        description: of the API, in the OpenAPI document.
        max_body_bytes: larger bodies are refused with 413 ``BODY_TOO_LARGE``, chunked ones as they grow.
        body_seconds: a body must have arrived by then, else 408 ``REQUEST_TIMEOUT``.
        handler_seconds: an answer must have begun by then, else 503 ``TIMEOUT``.
        docs: serve ``/docs`` and ``/openapi.json``; by default only outside production.
        operations: serve ``/healthz``, ``/readyz`` and ``/metrics`` here.
        middleware: the service's own, inside the limits, outermost first.
    """
    with_docs = not settings.production if docs is None else docs
    app = _Api(
        title=title,
        version=version,
        description=description,
        openapi_url="/openapi.json" if with_docs else None,
        docs_url=None,
        redoc_url=None,
        # A redirect would be built from the caller's Host header, and is no error body.
        redirect_slashes=False,
        middleware=[
            Middleware(RequestContext, health=health),
            Middleware(RequestMetrics, metrics=metrics),
            Middleware(Deadline, seconds=handler_seconds),
            Middleware(BodyLimit, max_bytes=max_body_bytes, seconds=body_seconds),
            *middleware,
        ],
        exception_handlers={
            ApiError: on_api_error,
            HTTPException: on_http_exception,
            RequestValidationError: on_validation_error,
        },
    )
    if operations:
        _mount_operations(app, health, metrics)
    if with_docs:
        _mount_docs(app, title)
    return app


class _Api(FastAPI):
    """FastAPI whose OpenAPI document tells the truth about errors."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the error body as every operation's default answer."""
        if self.openapi_schema is None:
            self.openapi_schema = _with_errors(super().openapi())
        return self.openapi_schema


def _with_errors(document: dict[str, Any]) -> dict[str, Any]:
    """Add the error schema, make it every operation's default answer, and drop FastAPI's own 422 body."""
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _, definitions = models_json_schema([(ErrorBody, "serialization")], ref_template=_SCHEMAS + "{model}")
    schemas.update(definitions["$defs"])
    answer = {
        "description": "The request was refused or failed; `code` says why.",
        "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}ErrorBody"}}},
    }
    for path in document.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"].pop("422", None)
                operation["responses"].setdefault("default", answer)
    return document


def _mount_operations(app: FastAPI, health: Health, metrics: Metrics) -> None:
    async def healthz() -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz() -> Response:
        ready, checks = await health.readiness()
        body = {"status": health.state(ready=ready), "checks": checks}
        return JSONResponse(body, status_code=200 if ready else 503)

    async def metrics_page() -> Response:
        return Response(metrics.render(), media_type=metrics.content_type)

    app.add_api_route("/healthz", healthz, include_in_schema=False)
    app.add_api_route("/readyz", readyz, include_in_schema=False)
    app.add_api_route("/metrics", metrics_page, include_in_schema=False)


def _mount_docs(app: FastAPI, title: str) -> None:
    async def docs_page() -> HTMLResponse:
        page = get_swagger_ui_html(openapi_url="/openapi.json", title=title)
        page.headers["content-security-policy"] = DOCS_CSP
        return page

    app.add_api_route("/docs", docs_page, include_in_schema=False)
