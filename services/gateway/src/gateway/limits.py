"""How large a body may be: small everywhere, larger where a path takes a whole account or a file."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from service_kit.middleware import BodyLimit

SMALL, LISTS, FILES = 64 * 1024, 4 * 1024 * 1024, 10 * 1024 * 1024
"""Bytes of ordinary bodies, of lists of holdings, of files."""
SECONDS, LONGER = 10.0, 25.0
"""Within which a small and a large body must have arrived."""
_LISTS = re.compile(r"/v1/accounts/(manual|[^/]+/holdings)")
_FILES = re.compile(r"/v1/accounts/[^/]+/import/preview")


class BodyLimits:
    """Holds each path to its own limit; the app's own limit is the largest of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._small = BodyLimit(app, SMALL, SECONDS)
        self._lists = BodyLimit(app, LISTS, LONGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        path = scope.get("path", "")
        if _FILES.fullmatch(path):
            await self._app(scope, receive, send)
        elif _LISTS.fullmatch(path):
            await self._lists(scope, receive, send)
        else:
            await self._small(scope, receive, send)
