"""How a process runs: start, serve, drain on a signal, exit with a status that tells the truth."""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import structlog
import uvloop
from starlette.types import ASGIApp

from . import logs
from .health import Health
from .http_server import HttpServer
from .settings import ServiceSettings

log = structlog.get_logger(__name__)

Step = Callable[[], Awaitable[object]]
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Service:
    """What a process is made of. Build it without I/O; ``run`` gives it a life.

    Attributes:
        name: in logs.
        app: served over HTTP, or None.
        health: the one the app answers from; the runner keeps it true.
        on_start: awaited in order before the process is ready (connect, declare, check versions).
        background: run beside the app until the end; one that raises ends the process with status 1.
        on_drain: awaited in order while the last requests end (stop consumers, finish what runs, flush the relay).
        on_stop: awaited in order after the background tasks are gone (close connections and pools).
    """

    name: str
    app: ASGIApp | None = None
    health: Health = field(default_factory=Health)
    on_start: Sequence[Step] = ()
    background: Sequence[Step] = ()
    on_drain: Sequence[Step] = ()
    on_stop: Sequence[Step] = ()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long leaving may take, in seconds.

    ``announce`` keeps serving with readiness 503 so that balancers notice; ``drain`` bounds requests and
    ``on_drain`` together; ``stop`` bounds ``on_stop``; after ``hard`` the process is ended with status 1.
    """

    announce: float = 0.0
    drain: float = 10.0
    stop: float = 5.0
    hard: float = 20.0


def run(service: Service, settings: ServiceSettings, patience: Patience | None = None) -> NoReturn:
    """Run a service until a signal or a failure, and exit.

    Status 0 after SIGTERM or SIGINT and an orderly end (work not finished in time is left to redelivery); 1 when
    starting, a background task or a closing step failed, at the second signal, or when leaving takes too long.
    """
    logs.configure(service.name, settings.log_level)
    sys.exit(uvloop.run(serve(service, settings, patience)))


async def serve(service: Service, settings: ServiceSettings, patience: Patience | None = None) -> int:
    """Run a service in the present event loop and return its exit status."""
    life = _Life(service, settings, patience or Patience())
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, life.on_signal, number)
    try:
        return await life.live()
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


class _Life:
    """One run of one service."""

    def __init__(self, service: Service, settings: ServiceSettings, patience: Patience) -> None:
        self._service = service
        self._settings = settings
        self._patience = patience
        self._ending = asyncio.Event()
        self._signalled = False
        self._failed = False
        self._tasks: list[asyncio.Task[object]] = []
        self._server: HttpServer | None = None
        self._watchdog: threading.Timer | None = None

    def on_signal(self, number: int) -> None:
        """Begin to leave; the second signal leaves at once."""
        if self._signalled:
            log.error("service.killed", signal=signal.Signals(number).name)
            _exit_now()
        self._signalled = True
        log.info("service.stopping", signal=signal.Signals(number).name)
        self._ending.set()

    async def live(self) -> int:
        """Start, wait for the end, leave in order."""
        self._service.health.starting = True
        try:
            if await self._started():
                await self._ending.wait()
        finally:
            self._watch()
            await self._leave()
            if self._watchdog:
                self._watchdog.cancel()
        log.info("service.stopped", status=int(self._failed))
        return int(self._failed)

    async def _started(self) -> bool:
        """Serve (health answers while starting), run the start steps, begin the background tasks."""
        start = asyncio.create_task(self._start())
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait({start, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not start.done():
            start.cancel()
            await asyncio.wait({start})
        if start.cancelled():
            return False
        if error := start.exception():
            self._fail("service.start_failed", error)
        return error is None

    async def _start(self) -> None:
        if self._service.app is not None:
            server = HttpServer(self._service.app, self._settings.host, self._settings.port)
            await server.start()
            self._server = server
            self._keep(server.run, "http")
            log.info("http.listening", host=self._settings.host, port=server.port)
        for step in self._service.on_start:
            await step()
        for step in self._service.background:
            self._keep(step, name_of(step))
        self._service.health.starting = False
        log.info("service.started", service_pid=os.getpid())

    def _keep(self, step: Step, name: str) -> None:
        task = asyncio.ensure_future(_awaited(step))
        task.set_name(name)
        task.add_done_callback(self._on_done)
        self._tasks.append(task)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        self._fail("background.failed", task.exception(), task=task.get_name())
        self._ending.set()

    def _fail(self, event: str, error: BaseException | None, **fields: str) -> None:
        log.error(event, exc_info=error, **fields)
        self._failed = True

    def _watch(self) -> None:
        """End the process from another thread if leaving takes too long, even when the loop is stuck."""
        self._watchdog = threading.Timer(self._patience.hard, _exit_now)
        self._watchdog.daemon = True
        self._watchdog.start()

    async def _leave(self) -> None:
        self._service.health.drain()
        await asyncio.sleep(self._patience.announce)
        until = asyncio.get_running_loop().time() + self._patience.drain
        stop_serving = () if self._server is None else (self._server.stop,)
        # Side by side: a request that hangs must not take the consumers' time to finish.
        await asyncio.gather(self._steps(stop_serving, until), self._steps(self._service.on_drain, until))
        await self._cancel_tasks()
        await self._steps(self._service.on_stop, asyncio.get_running_loop().time() + self._patience.stop)

    async def _steps(self, steps: Sequence[Step], until: float) -> None:
        for step in steps:
            await self._step(step, until)

    async def _step(self, step: Step, until: float) -> None:
        """Run one closing step; neither its failure nor its slowness keeps the next from its turn."""
        limit = asyncio.timeout_at(until)
        try:
            async with limit:
                await step()
        except Exception as error:  # noqa: BLE001  recorded, and the exit status tells of it
            if limit.expired():
                log.warning("service.step_cut_short", step=name_of(step))
            else:
                self._fail("service.stop_failed", error, step=name_of(step))

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        # Failures were logged by _on_done; here we only wait.
        await asyncio.gather(*self._tasks, return_exceptions=True)


def name_of(step: Step) -> str:
    """Return what a step is called in logs."""
    return str(getattr(step, "__qualname__", type(step).__name__))


async def _awaited(step: Step) -> object:
    return await step()


def _exit_now() -> NoReturn:
    sys.stdout.flush()
    os._exit(1)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that was free a moment ago (for runners and tests; prefer port 0 where possible)."""
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])
