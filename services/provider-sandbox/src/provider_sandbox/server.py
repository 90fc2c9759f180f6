"""Serves several ASGI apps from one process and one event loop, and stops them together."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE_SECONDS = 3


class AbortableProtocol(H11Protocol):
    """HTTP/1.1 that lets an app cut its connection: `scope["sandbox.abort"]()` sends a reset and no answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        served: Any = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["sandbox.abort"] = self.transport.abort
            await served(scope, receive, send)

        self.app: Any = app


class _Server(uvicorn.Server):
    """A server that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change nothing."""
        yield


def server_for(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    """Return a quiet server for an app; port 0 takes a free one."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=AbortableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Server(config)


async def started(server: uvicorn.Server) -> None:
    """Wait until a server that is being served accepts connections; uvicorn offers a flag, no event."""
    while not server.started:  # noqa: ASYNC110 - the flag is all there is
        await asyncio.sleep(0.005)


async def serve(servers: Sequence[uvicorn.Server], stop: asyncio.Event) -> None:
    """Run servers until `stop` is set or one of them ends; the others are then stopped too."""
    running = [asyncio.create_task(server.serve()) for server in servers]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set the event on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
