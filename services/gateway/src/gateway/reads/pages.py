"""Pages of lists: opaque cursors, entity tags, and answers that are text already. Pure but for the response."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

from starlette.responses import Response

from contracts.errors import ErrorCode
from gateway.refusals import not_found, refusal

CURSOR_SQL = (
    "translate(encode(convert_to(json_build_array({keys})::text, 'UTF8'), 'base64'), '+/=' || chr(10), '-_')"
)
"""The cursor after a row, as SQL; ``read_cursor`` reads it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that is JSON text, or None where the caller has it already; ``etag`` is unquoted."""

    body: str | None
    etag: str


def answer(text: str) -> Answer:
    """A body whose tag is a digest of its content."""
    return Answer(text, blake2b(text.encode(), digest_size=12).hexdigest())


def respond(found: Answer, known: Sequence[str]) -> Response:
    """The HTTP answer: 304 where the caller knows this tag."""
    headers = {"ETag": f'"{found.etag}"'}
    if found.body is None or found.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type="application/json", headers=headers)


def known_tags(if_none_match: str | None) -> list[str]:
    """The tags of an ``If-None-Match`` header, without quotes and weakness."""
    parts = [part.strip().removeprefix("W/").strip('"') for part in (if_none_match or "").split(",")]
    return [part for part in parts if part][:50]


def read_cursor(cursor: str | None, kinds: Mapping[str, Callable[[str], Any]]) -> dict[str, Any] | None:
    """The keys of the last row seen, named and read by ``kinds``; None at the beginning.

    Raises:
        ApiError: 422, this is no cursor of this list.
    """
    if cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or not all(_is_plain(value) for value in values):
            raise _bad_cursor()
        return {name: kind(value) for (name, kind), value in zip(kinds.items(), values, strict=True)}
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _bad_cursor() from error


def offset_cursor(offset: int) -> str:
    """The cursor of a list that does not change while we run."""
    return base64.urlsafe_b64encode(json.dumps([str(offset)]).encode()).decode().rstrip("=")


def read_offset(cursor: str | None) -> int:
    """How many rows to pass over.

    Raises:
        ApiError: 422, this is no cursor of this list.
    """
    keys = read_cursor(cursor, {"offset": str}) or {"offset": "0"}
    offset = str(keys["offset"])
    if not re.fullmatch(r"[0-9]{1,6}", offset):
        raise _bad_cursor()
    return int(offset)


def _is_plain(value: object) -> bool:
    """Whether a key could have come from a row: text that PostgreSQL can hold."""
    return (
        isinstance(value, str) and "\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    )


def known_id(text: str, what: str) -> UUID:
    """An id from a path.

    Raises:
        ApiError: 404; what cannot be an id is the id of nothing.
    """
    try:
        value = UUID(text)
    except ValueError as error:
        raise not_found(what) from error
    if str(value) != text.lower():
        raise not_found(what)
    return value


def _bad_cursor() -> Exception:
    wrong = {"location": ["query", "cursor"], "type": "cursor", "message": "not a cursor of this list"}
    return refusal(ErrorCode.VALIDATION_FAILED, details={"errors": [wrong]})
