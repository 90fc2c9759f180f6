"""The one error body of every HTTP API: ``{"error": {"code", "message", "requestId", "details"?}}``."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from .redaction import redact

log = structlog.get_logger(__name__)

# Codes of what the framework refuses by itself; everything else is raised as an ApiError.
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "VALIDATION_FAILED",
    429: "RATE_LIMITED",
    503: "UNAVAILABLE",
}

# pydantic's own text for these repeats what the caller sent.
_ECHOING = {"union_tag_invalid": "Input has an unknown tag", "uuid_parsing": "Input should be a valid UUID"}
UNREADABLE = "json_invalid"
"""FastAPI's type of a body it could not read; one with broken bytes or too deep it refuses with 400 by itself."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class ErrorDetail(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(frozen=True, title="ErrorDetail")

    code: str = Field(description="Stable code to act on.", examples=["NOT_FOUND"])
    message: str = Field(description="A sentence for people; safe to show.", examples=["No such account."])
    requestId: str = Field(  # noqa: N815  the wire name
        description="Quote it when asking for help.", examples=["5f0c7c1e8a5b4d0e9a3f6f0d2b9c4e11"]
    )
    details: dict[str, Any] | None = Field(default=None, description="More, per code.")


class ErrorBody(BaseModel):
    """The body of every error answer."""

    model_config = ConfigDict(frozen=True, title="ErrorBody")

    error: ErrorDetail


class ApiError(Exception):
    """An error that is answered to the caller as it is: nothing in it may be secret.

    Args:
        code: stable, upper case (``RATE_LIMITED``); every code has an entry in the documentation.
        status: HTTP status.
        message: a sentence for people.
        details: more, per code; must survive JSON.
        headers: added to the answer, for example ``Retry-After``.
    """

    def __init__(
        self,
        code: str,
        status: int,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status
        self.message = message
        self.details = details
        self.headers = headers


def error_response(error: ApiError, request_id: str) -> JSONResponse:
    """Write an error as an HTTP answer."""
    body: dict[str, Any] = {"code": error.code, "message": error.message, "requestId": request_id}
    if error.details:
        body["details"] = jsonable_encoder(error.details)
    return JSONResponse({"error": body}, error.status, dict(error.headers) if error.headers else None)


def unhandled(error: Exception) -> ApiError:
    """Log an exception nobody expected, with its stack, and return what the caller may know: nothing."""
    if isinstance(error, ResponseValidationError):
        # Its text repeats the whole answer, which is somebody's data.
        locations = [".".join(str(part) for part in item["loc"]) for item in error.errors()]
        log.error("http.invalid_response", locations=locations[:20], endpoint=error.endpoint_function)
    else:
        log.error("http.unhandled", exc_info=error)
    return ApiError("INTERNAL", 500, "Something went wrong on our side.")


def request_id_of(request: Request) -> str:
    """Return the id this request is known by."""
    return str(request.scope.get("request_id", ""))


async def on_api_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an ApiError (an exception handler)."""
    if not isinstance(error, ApiError):
        raise error
    return error_response(error, request_id_of(request))


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework refuses: unknown routes, methods, unreadable bodies (an exception handler)."""
    if not isinstance(error, HTTPException):
        raise error
    code = CODES.get(error.status_code, HTTPStatus(error.status_code).name)
    answer = ApiError(code, error.status_code, str(error.detail), headers=error.headers)
    return error_response(answer, request_id_of(request))


async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that does not fit its model, without repeating its content (an exception handler)."""
    if not isinstance(error, RequestValidationError):
        raise error
    if any(item["type"] == UNREADABLE for item in error.errors()):
        return error_response(ApiError("BAD_REQUEST", 400, "The body is not JSON."), request_id_of(request))
    if isinstance(error.body, bytes):
        # FastAPI reads nothing but JSON, and would say of the rest only that it is no object.
        refused = ApiError("UNSUPPORTED_MEDIA_TYPE", 415, "The body is not JSON; send application/json.")
        return error_response(refused, request_id_of(request))
    details = {"errors": [_described(item) for item in error.errors()[:50]]}
    answer = ApiError("VALIDATION_FAILED", 422, "The request does not have the expected form.", details)
    return error_response(answer, request_id_of(request))


def _described(item: Any) -> dict[str, Any]:
    kind = str(item["type"])
    location = [part if isinstance(part, int) else _safe_name(str(part)) for part in item["loc"]]
    return {"location": location, "type": kind, "message": _ECHOING.get(kind, redact(str(item["msg"])))}


def _safe_name(name: str) -> str:
    """Return a field name; what a caller put where a name belongs is not repeated."""
    return name if _NAME.fullmatch(name) and redact(name) == name else "?"
