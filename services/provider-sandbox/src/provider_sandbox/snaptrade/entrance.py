"""The outermost layer of the SnapTrade face: the legacy `/api/v1` prefix and the headers every answer carries."""

from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEGACY_PREFIX = "/api/v1"
DEPRECATED_SINCE = "@1781222400"


class Entrance:
    """ASGI middleware: serves `/api/v1/x` as `/x` with a `Deprecation` header, adds `X-Request-ID` to everything.

    `raw_path` stays as sent, because that is what the signature covers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid4())
        extra = {"X-Request-ID": request_id}
        inner = dict(scope) | {"sandbox.request_id": request_id}
        if scope["path"].startswith(LEGACY_PREFIX + "/"):
            inner["path"] = scope["path"][len(LEGACY_PREFIX) :]
            extra["Deprecation"] = DEPRECATED_SINCE

        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                MutableHeaders(raw=message["headers"]).update(extra)
            await send(message)

        await self._app(inner, receive, forward)
