"""The HTTP server of a process: uvicorn with its signals, logs and waiting taken over by the runner."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from .http_protocol import BoundedHeads

KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than our own clients keep theirs, so that they close first."""


class HttpServer:
    """One listening socket and the app behind it."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            http=BoundedHeads,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._server = _Server(config)
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._ended = asyncio.Event()
        self.port = port

    async def start(self) -> None:
        """Take the address; nothing is accepted before ``run``.

        Raises:
            OSError: the address is not free or not ours.
        """
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._socket = socket.create_server(self._address, family=family, backlog=2048)
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until ``stop``."""
        if self._socket is None:
            raise RuntimeError("start() comes before run()")
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Accept no more, let running requests finish, and return when the last one has."""
        self._server.should_exit = True
        await self._ended.wait()


class _Server(uvicorn.Server):
    """Leaves signals to the runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
