"""What is taken out of a body before it is stored: credentials and account numbers. Pure.

Only values are replaced, in the text as it came; everything else stays byte for byte. A Plaid link token names the
session a delivery is about, so it becomes its digest, by which it can be recognised but not used.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

REMOVED = "[removed]"
BLANKED = frozenset(
    {
        "webhooksecret",
        "usersecret",
        "clientsecret",
        "secret",
        "consumerkey",
        "password",
        "publictoken",
        "publictokens",
        "accesstoken",
        "accesstokens",
        "processortoken",
        "refreshtoken",
        "usertoken",
    }
)
DIGESTED = frozenset({"linktoken"})
NUMBERS = frozenset({"accountnumber", "number", "institutionaccountnumber", "iban"})
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r"(access|public|link|processor|user)-(sandbox|development|production)-[A-Za-z0-9-]{4,}")
_DECODER = json.JSONDecoder()


def blanked(text: str) -> str:
    """The text of a JSON document without its credentials.

    Args:
        text: valid JSON.
    """
    pieces: list[str] = []
    end = 0
    for start, stop, value in _replacements(text):
        pieces += [text[end:start], json.dumps(value)]
        end = stop
    return "".join([*pieces, text[end:]])


def digest(token: str) -> str:
    """How a link token is known once it has been taken out."""
    return f"sha256:{hashlib.sha256(token.encode(errors='surrogatepass')).hexdigest()}"


def _replacements(text: str) -> Iterator[tuple[int, int, Any]]:
    """Where a value starts and ends, and what stands there instead."""
    position = 0
    while found := _STRING.search(text, position):
        position = found.end()
        colon = _space(text, position)
        if text[colon : colon + 1] != ":":
            yield from _inside(found)
            continue
        name = re.sub(r"[^a-z0-9]", "", json.loads(found.group()).lower())
        start = position = _space(text, colon + 1)
        if name in BLANKED | DIGESTED | NUMBERS:
            value, position = _DECODER.raw_decode(text, start)
            yield start, position, _instead(name, value)


def _inside(found: re.Match[str]) -> Iterator[tuple[int, int, Any]]:
    """A text that stands somewhere else but is, or holds, a token."""
    value = json.loads(found.group())
    clean = _TOKEN.sub(_known_token, value)
    if clean != value:
        yield found.start(), found.end(), clean


def _instead(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return value
    if isinstance(value, list):
        return [_instead(name, entry) for entry in value]
    if name in DIGESTED and isinstance(value, str):
        return digest(value)
    if name in NUMBERS and isinstance(value, str | int):
        return f"****{str(value)[-4:]}" if len(str(value)) > 4 else value
    return REMOVED


def _known_token(found: re.Match[str]) -> str:
    return digest(found.group()) if found[1] == "link" else REMOVED


def _space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
