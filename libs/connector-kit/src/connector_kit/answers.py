"""How the internal API reads requests and writes answers."""

from typing import TypeVar

import msgspec
from fastapi import Request, Response

from contracts.errors import ErrorCode
from contracts.struct import Record
from service_kit.api_errors import ApiError

R = TypeVar("R", bound=Record)


async def body(request: Request, kind: type[R]) -> R:
    """Read a request's body.

    Raises:
        ApiError: 422, it has not the expected form. What was sent is not repeated.
    """
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"The request is no {kind.__name__}."
        raise ApiError(ErrorCode.VALIDATION_FAILED, 422, message) from error


def answer(record: Record, status: int = 200) -> Response:
    """Write an answer; link addresses are credentials and stay in no cache."""
    return Response(
        msgspec.json.encode(record),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
