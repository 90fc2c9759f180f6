"""JSON as both verifiers read it: one object, no member twice, no number JSON does not know. Pure."""

import json
from typing import Any, NoReturn

from webhooks.delivery import ForgedError, Refusal


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a body.

    Raises:
        ForgedError: not UTF-8, a byte order mark, not JSON, not an object, a member twice, NaN or Infinity,
            numbers or nesting beyond reason.
    """
    try:
        document = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ForgedError(Refusal.MALFORMED_BODY) from error
    if not isinstance(document, dict):
        raise ForgedError(Refusal.MALFORMED_BODY)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # Two readers could take different ones of the two for true.
        raise ValueError("a member is there twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
