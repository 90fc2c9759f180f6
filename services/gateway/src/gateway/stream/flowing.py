"""An answer that flows: written piece by piece as its reader takes it, and ended by whoever leaves first."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from persistence.database import DatabaseUnavailable

log = structlog.get_logger(__name__)

STUCK = 60.0
"""Seconds after which a reader that takes nothing is given up."""
LAST_WORD = 5.0
"""Seconds within which a reader must take the end."""


class Flowing(Response):
    """Sends what ``pieces`` yields, waiting for the reader with each one.

    Ends in order when ``pieces`` does or ``until`` returns; at once, without the closing mark, when the database is
    away or the reader has gone or takes nothing for a minute. ``done`` is called however it ends.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        until: Callable[[], Coroutine[Any, Any, None]] | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(None, 200, dict(headers or {}), media_type)
        del self.headers["content-length"]
        self._pieces = pieces
        self._until = until
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer one request."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if await self._flown(receive, send):
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORD):
                        await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if self._done is not None:
                self._done()

    async def _flown(self, receive: Receive, send: Send) -> bool:
        """Write until somebody leaves; whether it ended in order."""
        writing = asyncio.create_task(self._write(send))
        gone = asyncio.create_task(_gone(receive))
        tasks: list[asyncio.Task[Any]] = [writing, gone]
        if self._until is not None:
            tasks.append(asyncio.create_task(self._until()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return writing.result() if writing.done() else not gone.done()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, send: Send) -> bool:
        """Whether all of it was written."""
        try:
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    async with asyncio.timeout(STUCK):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            log.info("http.reader_stuck")
            return False
        except DatabaseUnavailable as error:
            log.warning("http.flow_interrupted", error=str(error))
            return False
        return True


async def begun(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same pieces with the first of them here: what keeps it from coming is raised before an answer begins."""
    first = await anext(pieces)

    async def every() -> AsyncGenerator[bytes, None]:
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return every()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
