"""When the state file is written: before anything that depends on a change leaves the process.

An answer to a request that may change something waits until the change is on disk, and so does every webhook. Requests
that only read pass by untouched. Changes that nobody waits for (`State.changed`) are written soon after. Requests that
arrive together share one write.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provider_sandbox import picture, state_file
from provider_sandbox.state import State
from provider_sandbox.webhook_delivery import WebhookDelivery

_log = logging.getLogger(__name__)


class Memory:
    """Keeps one file equal to the state. All methods but `recall` belong to the event loop of the servers."""

    def __init__(self, path: Path, state: State) -> None:
        self._path, self._state = path, state
        self._written = b""
        self._asked = self._kept = 0
        self._lock = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None
        # One thread: writes reach the disk in the order they were made, even when nobody waits for them any more.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="state-file")

    def recall(self) -> None:
        """Put back what the file holds, or make the file; raises StateFileError when neither is possible."""
        body = state_file.read(self._path)
        if body is not None:
            try:
                picture.put_back(self._state, body)
            except picture.PictureError as error:
                raise state_file.unusable(self._path, str(error)) from error
        current = picture.take(self._state)
        if current != body:
            self._write_first(current)
        self._written = current

    def _write_first(self, body: bytes) -> None:
        try:
            state_file.write(self._path, body)
        except OSError as error:
            raise state_file.StateFileError(self._path, f"cannot be written: {error.strerror}.") from error

    def attach(self) -> None:
        """Hear of changes that no request waits for, and let no webhook leave before what it tells is on disk."""
        self._state.changed = self.keep_soon
        if isinstance(self._state.webhooks, WebhookDelivery):
            self._state.webhooks.before_attempt = self.keep

    async def keep(self) -> None:
        """Return when every change made so far is on disk; raises OSError when it cannot be written."""
        self._asked += 1
        wanted = self._asked
        await asyncio.sleep(
            0
        )  # what was queued behind the answer runs first, so that "queued" is not forgotten
        async with self._lock:
            if self._kept < wanted:
                await self._save()

    def keep_soon(self) -> None:
        """Have the changes made so far written without waiting for it."""
        self._asked += 1
        if self._later is None or self._later.done():
            self._later = asyncio.get_running_loop().create_task(self._catch_up())

    async def aclose(self) -> None:
        """Write what is left and end the writing thread; nothing may change any more."""
        self._state.changed = lambda: None
        try:
            if self._later is not None:
                await self._later
            await self.keep()
        finally:
            self._writer.shutdown()

    async def _catch_up(self) -> None:
        try:
            while self._kept < self._asked:
                async with self._lock:
                    await self._save()
        except OSError:
            _log.exception("the state file cannot be written")

    async def _save(self) -> None:
        covered, body = self._asked, picture.take(self._state)
        if body != self._written:
            self._written = b""  # until the write has ended, nobody knows what the file holds
            await asyncio.get_running_loop().run_in_executor(self._writer, state_file.write, self._path, body)
            self._written = body
        self._kept = covered


class Remembering:
    """ASGI middleware: keeps the memory before answering any request that `only_reads` does not recognise."""

    def __init__(self, app: ASGIApp, memory: Memory, only_reads: Callable[[Scope], bool]) -> None:
        self._app, self._memory, self._only_reads = app, memory, only_reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or self._only_reads(scope):
            await self._app(scope, receive, send)
            return
        answered = False

        async def forward(message: Message) -> None:
            nonlocal answered
            if not answered:
                await self._memory.keep()
                answered = True
            await send(message)

        await self._app(scope, receive, forward)
        if not answered:  # a fault took the answer, not the effect
            await self._memory.keep()
