"""SnapTrade's request signature: HMAC-SHA256 over canonical JSON of content, path and query.

The signature covers the parsed body, the path and the raw query exactly as they are sent; neither the method
nor the host nor a header. The time is one more query item, so a request is signed anew at each send.
"""

import base64
import hmac
import json
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx


def signed_text(content: Any, path: str, query: str) -> str:
    """The text that is signed: sorted keys, no spaces, everything beyond printable ASCII escaped.

    ``content`` is the JSON value of the body; an absent or empty one (``{}``) counts as null.
    """
    parts = {"content": None if content == {} else content, "path": path, "query": query}
    return json.dumps(parts, separators=(",", ":"), sort_keys=True)


def signature(consumer_key: str, content: Any, path: str, query: str) -> str:
    """The value of the ``Signature`` header: standard base64 with padding."""
    text = signed_text(content, path, query).encode()
    return base64.b64encode(hmac.digest(consumer_key.encode(), text, "sha256")).decode()


class SnapTradeAuth(httpx.Auth):
    """Adds ``clientId`` and ``timestamp`` to the query of a request and signs what will be on the wire.

    It signs the path it finds, so a base URL at the root and one under the legacy ``/api/v1`` both sign right.
    The consumer key is trimmed: a stray blank from a paste is the commonest cause of a refused signature.
    """

    requires_request_body = True

    def __init__(self, client_id: str, consumer_key: str, now: Callable[[], float] = time.time) -> None:
        self._client_id = httpx.QueryParams({"clientId": client_id.strip()})
        self._consumer_key = consumer_key.strip()
        self._now = now

    def __repr__(self) -> str:
        return "SnapTradeAuth(…)"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Stamp and sign one send; whatever query the request has stays as it is."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        request.url = request.url.copy_with(raw_path=f"{path}?{self.stamped(query)}".encode("ascii"))
        self.sign(request)
        yield request

    def stamped(self, query: str) -> str:
        """A query with the key and the time added; good for one send."""
        stamp = f"{self._client_id}&timestamp={int(self._now())}"
        return f"{query}&{stamp}" if query else stamp

    def sign(self, request: httpx.Request) -> None:
        """Sign a request that is stamped and whose body is in memory, as it will be on the wire."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        content = json.loads(request.content) if request.content else None
        request.headers["Signature"] = signature(self._consumer_key, content, path, query)
