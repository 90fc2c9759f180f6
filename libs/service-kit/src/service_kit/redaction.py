"""Redaction: what must never be read in a log line, an error body or a header. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

MASK = "[redacted]"
MAX_DEPTH = 12
PAIR = 2

_SECRET_PARTS = (
    "secret",
    "token",
    "password",
    "passwd",
    "authorization",
    "signature",
    "consumerkey",
    "apikey",
    "privatekey",
    "masterkey",
    "accountnumber",
    "credential",
    "cookie",
)
# Links that let whoever holds them act for the user: portal and hosted-link addresses.
_SECRET_NAMES = frozenset(
    {"number", "redirecturi", "portalurl", "hostedlinkurl", "linkurl", "pin", "ssn", "iban", "routingnumber"}
)
_WORDS = (
    r"secret|token|password|passwd|authorization|signature|consumer[_-]?key|api[_-]?key|private[_-]?key"
    r"|master[_-]?key|account[_-]?number|credentials?|cookie"
)
_QUOTE = r"\\*[\"']"
_MASKED = re.escape(MASK)
_QUOTED = r"\\*\"[^\"]*\"?|\\*'[^']*'?"
_BARE = r"[^\s&,;)}\]\"'][^\s&,;)}\]]*"
_NAMED = rf"(?:{_WORDS})[\w-]{{0,30}}(?:{_QUOTE})?\s{{0,3}}(?:=|:|%3[dD])\s{{0,3}}(?:b(?=[\"']))?"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # PEM blocks, whole
    (re.compile(r"-----BEGIN [A-Z ]{3,40}-----.*?(?:-----END [A-Z ]{3,40}-----|\Z)", re.DOTALL), MASK),
    # pydantic repeats the input in its error text
    (re.compile(r"input_value=.{0,4000}?, input_type=", re.DOTALL), f"input_value={MASK}, input_type="),
    # user:password@ in URLs
    (re.compile(r"(://[^/\s:@\"']{0,200}):[^/\s@\"']{1,400}@"), rf"\1:{MASK}@"),
    # links that carry their permission in the path
    (re.compile(r"(https?://secure\.plaid\.com/)[^\s\"']+", re.IGNORECASE), rf"\1{MASK}"),
    # a header written out: the value runs to the end of the line
    (
        re.compile(r"((?:authorization|cookie)\s{0,3}[:=]\s{0,3})(?![\"'\\])[^\r\n]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # ('name', 'value') pairs as header lists print them
    (
        re.compile(rf"((?:{_WORDS})[\w-]{{0,30}}{_QUOTE}\s{{0,3}},\s{{0,3}}b?)(?:{_QUOTED})", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # name="value" first: what stands inside an unquoted value may itself be a name with a quoted value
    (re.compile(rf"({_NAMED})(?:{_QUOTED})", re.IGNORECASE), rf"\1{MASK}"),
    # name=value, name: value, in URLs, JSON, reprs and prose; a value that is a name itself takes its own along
    (
        re.compile(
            rf"({_NAMED})(?:{_MASKED}|(?:(?:bearer|basic|{_BARE}[:=])\s{{1,3}})*{_BARE})",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # Shapes come last: masking one must not hide the name that gives the next value away.
    # Plaid's tokens, wherever they stand
    (
        re.compile(r"(access|public|link|processor)-(sandbox|development|production)-[A-Za-z0-9-]+"),
        rf"\1-\2-{MASK}",
    ),
    # JSON Web Tokens, and base64 of anything that begins like JSON
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"), MASK),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
)

# No pattern matches a text without one of these: most fields of most lines are done after one search.
_TRIGGER = re.compile(
    r"[=:\"']|%3d|eyJ|bearer\s|basic\s|-(?:sandbox|development|production)-|-----BEGIN", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return the text with everything that looks like a credential masked."""
    if _TRIGGER.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Say whether a field of this name holds a credential or an account number."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return plain in _SECRET_NAMES or any(part in plain for part in _SECRET_PARTS)


def redact_value(value: Any, depth: int = 0) -> Any:
    """Return a value that may be logged as JSON: names and values are checked at every level.

    Numbers, booleans and None stay; anything that JSON does not know becomes its redacted text.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= MAX_DEPTH:
        return "[too deep]"
    return _redact_inside(value, depth + 1)


def _redact_inside(value: Any, depth: int) -> Any:
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, Mapping):
        return {redact(str(k)): redact_field(str(k), v, depth) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return _redact_sequence(list(value), depth)
    if isinstance(value, BaseException):
        return redact(f"{type(value).__name__}: {value}")
    return redact(str(value))


def redact_field(name: str, value: Any, depth: int = 0) -> Any:
    """Return what may be logged under a name."""
    if value is not None and not isinstance(value, bool) and is_secret_name(name):
        return MASK
    return redact_value(value, depth)


def _redact_sequence(items: list[Any], depth: int) -> list[Any]:
    """Redact a list; a pair that begins with a name is treated as that name's field."""
    if len(items) == PAIR and isinstance(items[0], str | bytes):
        name = items[0] if isinstance(items[0], str) else items[0].decode("latin-1")
        return [redact(name), redact_field(name, items[1], depth)]
    return [redact_value(item, depth) for item in items]
