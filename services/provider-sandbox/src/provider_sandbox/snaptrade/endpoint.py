"""How one endpoint is described and served: access check, handler, errors, headers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from provider_sandbox.snaptrade.errors import SnapTradeError
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import Access, SignedCall, parse_body
from provider_sandbox.traffic import note

Handler = Callable[[SnapTradeFace, SignedCall], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of a table of endpoints. The handler returns a JSON value, or bytes of JSON, or raises."""

    method: str
    path: str
    handler: Handler
    access: Access = "user"


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response; bytes are taken as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return Response(body, status, headers, media_type="application/json")


def error_response(error: SnapTradeError, headers: dict[str, str] | None = None) -> Response:
    """Return an error in its wire shape."""
    return json_response(error.body(), error.status, {**(headers or {}), **error.headers})


def route(face: SnapTradeFace, endpoint: Endpoint) -> Route:
    """Return the Starlette route of an endpoint."""

    async def serve(request: Request) -> Response:
        raw_body = await request.body()
        call = SignedCall(request, None)
        try:
            face.gate.admit(call, raw_body, endpoint.access, face.now())
            call.body = parse_body(raw_body)
            if call.admitted_user is not None:
                note(request, user=call.admitted_user.user_id)
            answer = endpoint.handler(face, call)
        except SnapTradeError as error:
            return error_response(error, call.headers)
        return json_response(answer, headers=call.headers)

    return Route(endpoint.path, serve, methods=[endpoint.method])
