"""How routes document their answers."""

from typing import Annotated, Any

from fastapi import Header

from contracts.errors import MEANING, ErrorCode
from service_kit.web import ErrorBody

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed since the tag in `If-None-Match`."}
}
IfNoneMatch = Annotated[
    str | None,
    Header(max_length=2000, description="Tags of answers you have (`ETag`); 304 if one still holds."),
]
ALWAYS = (ErrorCode.UNAUTHENTICATED, ErrorCode.VALIDATION_FAILED, ErrorCode.UNAVAILABLE)


def refusals(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, by status, with their codes."""
    by_status: dict[int | str, list[str]] = {}
    for code in (*ALWAYS, *codes):
        row = MEANING[code]
        by_status.setdefault(row.status, []).append(f"`{code.value}`: {row.meaning}")
    return {
        status: {"model": ErrorBody, "description": "\n\n".join(lines)} for status, lines in by_status.items()
    }
