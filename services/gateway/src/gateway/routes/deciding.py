"""What the routes share by which people decide."""

from typing import Annotated, Any

from fastapi import Header, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.decisions.once import REPLAYED

RETRY_AFTER = "1"
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,128}$",
        description="Your own key of this request: sent again, it finds what it made the first time.",
    ),
]
UserId = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["alice"]),
]
PathUser = Annotated[UserId, Path(description="The user it is about.")]


def pending(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The answer of a route that did not see the decision applied in time."""
    return {
        202: {
            "model": model,
            "description": "It is kept and told, and does not show yet; look again after `Retry-After` seconds.",
        }
    }


def decided(
    body: str, *, status: int, applied: bool, replayed: bool, headers: dict[str, str] | None = None
) -> Response:
    """The answer to a decision: ``status`` once it is applied, else 202."""
    sent = (headers or {}) | (REPLAYED if replayed else {})
    if not applied:
        status, sent = 202, sent | {"Retry-After": RETRY_AFTER}
    return Response(body, status, sent, "application/json")
