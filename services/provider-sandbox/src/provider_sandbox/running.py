"""A sandbox running in a thread of this process on free ports, for tests and benchmarks."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar

from provider_sandbox.app import Sandbox, build
from provider_sandbox.server import server_for, started
from provider_sandbox.settings import Settings
from provider_sandbox.state import State

_Result = TypeVar("_Result")
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Urls:
    """Base URLs of the three servers."""

    control: str
    snaptrade: str
    plaid: str


class RunningSandbox:
    """Context manager: `with RunningSandbox(settings) as sandbox: sandbox.urls.snaptrade`.

    Without a `state`, webhooks are really delivered. `sandbox.run(coroutine)` runs something on the sandbox's loop.
    """

    def __init__(self, settings: Settings, state: State | None = None) -> None:
        self._sockets = [_listening(settings.host) for _ in range(3)]
        self.urls = Urls(
            *(f"http://{settings.host}:{listener.getsockname()[1]}" for listener in self._sockets)
        )
        public = {"public_snaptrade_url": self.urls.snaptrade, "public_plaid_url": self.urls.plaid}
        self.settings = replace(settings, **public)  # type: ignore[arg-type]  # both names are string fields
        self._given_state = state
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="provider-sandbox", daemon=True)
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._sandbox: Sandbox | None = None

    @property
    def state(self) -> State:
        """The sandbox's state; change it only through `run` while requests are served."""
        if self._sandbox is None:
            raise RuntimeError("The sandbox is not running")
        return self._sandbox.state

    def __enter__(self) -> Self:
        """Start and wait until all three servers answer."""
        self._thread.start()
        if not self._started.wait(_PATIENCE):
            raise RuntimeError("The sandbox did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything and wait for the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE)

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine on the sandbox's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def settle(self) -> None:
        """Wait until everything queued (syncs, deletions, their events) is done."""
        self.run(self.state.drain())

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()

    async def _main(self) -> None:
        sandbox = self._sandbox = build(self.settings, self._given_state)
        apps = (sandbox.control, sandbox.snaptrade, sandbox.plaid)
        servers = [server_for(app, self.settings.host, 0) for app in apps]
        pairs = zip(servers, self._sockets, strict=True)
        tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in pairs]
        await asyncio.gather(*(started(server) for server in servers))
        self._started.set()
        await self._stop.wait()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)
        await sandbox.aclose()
        for listener in self._sockets:
            listener.close()


def _listening(host: str) -> socket.socket:
    # Naming the protocol lets asyncio switch off Nagle's algorithm, which would cost 40 ms per answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen(128)
    return listener
