"""The Plaid face as a web application: every request checked, answered with a request id, and errors in Plaid's form."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from provider_sandbox import json_body
from provider_sandbox.plaid import api_data, api_institutions, api_items, api_link, api_sandbox, hosted
from provider_sandbox.plaid.ask import Ask, Handler
from provider_sandbox.plaid.config import PlaidConfig
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.surprises import Surprises
from provider_sandbox.plaid.wire import new_request_id, to_json
from provider_sandbox.settings import Settings
from provider_sandbox.state import State
from provider_sandbox.traffic import Traffic, note

ROUTES: dict[str, Handler] = {
    **api_link.ROUTES,
    **api_items.ROUTES,
    **api_institutions.ROUTES,
    **api_data.ROUTES,
    **api_sandbox.ROUTES,
}
READING = frozenset(
    {
        *api_institutions.ROUTES,
        "/accounts/balance/get",
        "/accounts/get",
        "/investments/holdings/get",
        "/investments/transactions/get",
        "/item/get",
        "/link/token/get",
        "/transactions/sync",
        "/webhook_verification_key/get",
    }
)
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
_JSON = "application/json"
_NONE = Surprises()


def build_plaid_app(state: State, settings: Settings) -> ASGIApp:
    """Build the face, register it as `state.faces["plaid"]` and return its app behind the traffic middleware."""
    face = PlaidFace(state, PlaidConfig.of(settings))
    state.faces[face.provider] = face
    api = api_of(face)
    return Traffic(api, state, provider=face.provider, routes=api.routes)


def api_of(face: PlaidFace) -> FastAPI:
    """The application of a face: the API routes and the Hosted Link pages."""
    api = FastAPI(title="Plaid face", openapi_url=None, docs_url=None, redoc_url=None)
    for path, handler in ROUTES.items():
        api.add_route(path, _endpoint(face, path, handler), methods=["POST"])
    hosted.add_pages(api, face)
    api.add_exception_handler(HTTPException, _not_found)
    return api


def _endpoint(face: PlaidFace, path: str, handler: Handler) -> Endpoint:
    async def serve(request: Request) -> Response:
        request_id = new_request_id()
        note(request, request_id=request_id)
        try:
            body = await _read(request)
            client_id = _authenticate(face.config, request, body)
            face.limits.check(path, client_id, face.items.id_of(body.get("access_token")))
            answer = await handler(Ask(face, body, request))
        except PlaidError as failure:
            return _answer(failure.body(request_id), failure.status)
        complete = {**answer, "request_id": request_id}
        return _answer(complete if face.surprises == _NONE else face.surprises.applied(complete))

    return serve


async def _read(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise PlaidError("INVALID_HEADERS")
    try:
        body = json_body.parse(await request.body())
    except ValueError as problem:
        raise PlaidError("INVALID_BODY") from problem
    if not isinstance(body, dict):
        raise PlaidError("INVALID_BODY", "body must be a JSON object")
    return body


def _authenticate(config: PlaidConfig, request: Request, body: dict[str, Any]) -> str:
    client_id = body.get("client_id") or request.headers.get("plaid-client-id")
    secret = body.get("secret") or request.headers.get("plaid-secret")
    missing = [name for name, value in {"client_id": client_id, "secret": secret}.items() if not value]
    if missing:
        raise PlaidError("MISSING_FIELDS", f"the following required fields are missing: {', '.join(missing)}")
    if (client_id, secret) != (config.client_id, config.secret):
        raise PlaidError("INVALID_API_KEYS")
    return config.client_id


async def _not_found(request: Request, problem: Exception) -> Response:
    failure = PlaidError("NOT_FOUND", f"{request.method} {request.url.path} is not an endpoint")
    if isinstance(problem, HTTPException) and problem.status_code == 405:
        failure = PlaidError("NOT_FOUND", "every endpoint takes POST")
    return _answer(failure.body(new_request_id()), failure.status)


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(to_json(body), status, media_type=_JSON)
