"""SnapTrade's signatures, written from the published algorithm; shares no code with any client.

Request: base64 of HMAC-SHA256(consumer key, canonical JSON of `{"content", "path", "query"}`). The body counts as its
parsed value; no body and `{}` count as null. Webhook: the same over the parsed payload. Canonical means sorted keys at
every level, separators `,` and `:`, everything outside ASCII escaped.
"""

import base64
import hashlib
import hmac
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Return the canonical JSON text of a parsed value."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=True).encode()


def sign(consumer_key: str, value: Any) -> str:
    """Return the signature of a parsed JSON value."""
    digest = hmac.new(consumer_key.encode(), canonical(value), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def request_signature(consumer_key: str, path: str, query: str, body: bytes) -> str:
    """Return the signature a request must carry; `path` and `query` exactly as sent, escapes included.

    Raises ValueError when the body is not JSON.
    """
    content = json.loads(body) if body else None
    if content == {}:
        content = None
    return sign(consumer_key, {"content": content, "path": path, "query": query})


def request_is_signed(signature: str, consumer_key: str, path: str, query: str, body: bytes) -> bool:
    """Whether a request's `Signature` header is right, compared in constant time."""
    try:
        expected = request_signature(consumer_key, path, query, body)
    except ValueError:
        return False
    return hmac.compare_digest(expected.encode(), signature.encode())
