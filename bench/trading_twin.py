"""A second gateway beside the stack's own: what guards one process guards nothing where two answer."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fresh_rig import Rig

NAME = "gateway"


class Twin:
    """One more gateway, started again whenever it dies."""

    def __init__(self, place: Rig, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._program = place.program(NAME)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.killed = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    async def keep(self) -> None:
        """Keep it alive until cancelled."""
        try:
            while True:
                if self._process is None or self._process.poll() is not None:
                    self._process = self._started()
                await asyncio.sleep(0.2)
        finally:
            self._end()

    async def harm(self, rng: random.Random, every: tuple[float, float]) -> None:
        """Kill it at random until cancelled."""
        while True:
            await asyncio.sleep(rng.uniform(*every))
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGKILL)
                self.killed += 1

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", self._program.module],
                env={**os.environ, **self._program.environment, "PORT": str(self._port)},
                stdout=out,
                stderr=out,
            )

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)


@asynccontextmanager
async def twin(place: Rig, folder: Path) -> AsyncIterator[Twin]:
    """A second gateway while the block runs."""
    made = Twin(place, folder / "second-gateway.log")
    task = asyncio.create_task(made.keep())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
