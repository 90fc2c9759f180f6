"""Plaid's JSON on the wire: exact numbers, opaque ids, request ids and timestamps."""

import hashlib
import json
import secrets
import string
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from provider_sandbox.plaid.vocabulary import UNOFFICIAL_CURRENCIES

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_OPEN, _CLOSE = (secrets.token_hex(8) for _ in range(2))


def _marked(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return f"{_OPEN}{value:f}{_CLOSE}"
    raise TypeError(f"not a wire value: {type(value).__name__}")


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Encode a wire value; a Decimal becomes a JSON number with exactly its own digits.

    The standard encoder cannot write a Decimal as a number, so it writes a string between two secret marks, and the
    marks are cut out together with the quotes.
    """
    text = json.dumps(value, default=_marked, indent=indent)
    return text.replace(f'"{_OPEN}', "").replace(f'{_CLOSE}"', "").encode()


def opaque_id(*parts: str, length: int = 37) -> str:
    """An id as Plaid's look, always the same for the same parts; at most 64 characters."""
    digest = hashlib.sha512("\x1f".join(parts).encode()).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:length])


def new_request_id() -> str:
    """A fresh `request_id`: 15 letters and digits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(15))


def new_token(kind: str) -> str:
    """A fresh sandbox token: `kind` is access, public or link."""
    return f"{kind}-sandbox-{uuid4()}"


def timestamp(moment: datetime) -> str:
    """UTC with seconds and a Z, as most of Plaid's datetimes."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def instant(moment: datetime) -> str:
    """UTC with microseconds: two moments are two texts, as with the longer fractions some of Plaid's times have."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def currency_codes(code: str) -> dict[str, str | None]:
    """The pair of currency fields; a code outside ISO 4217 goes into the unofficial one."""
    official = code not in UNOFFICIAL_CURRENCIES
    return {
        "iso_currency_code": code if official else None,
        "unofficial_currency_code": None if official else code,
    }
