"""The whole stack on the provider sandbox, for the checks of freshness: people, databases, kills and duplicates."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from local_demo.client import Frontend, development_token
from local_demo.pages import Visit
from local_stack import Stack
from local_stack.guard import guarded
from local_stack.programs import Program

from contracts.messages import Command
from messaging.publishing import outgoing_command
from messaging.rabbit import RabbitBus
from messaging.topology import onefolio

QUIET = {"LOG_LEVEL": "WARNING"}
Say = Callable[[str], None]


class Rig:
    """A running stack and what a check does to it."""

    def __init__(self, stack: Stack, bus: RabbitBus, control: httpx.AsyncClient) -> None:
        self.stack = stack
        self.bus = bus
        self.control = control
        self._programs = {program.name: program for program in stack.programs}

    @property
    def gateway(self) -> str:
        """Where the API answers."""
        return self.stack.state.url("gateway")

    def program(self, name: str) -> Program:
        """One of the stack's programs, with the environment it runs in."""
        return self._programs[name]

    def token(self, user: str) -> str:
        """What the user shows at the gateway."""
        return development_token(self.stack.state.secrets["jwt"], user)

    def rows(self, service: str, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a service's own role finds in the database."""
        with psycopg.connect(self._programs[service].environment["DATABASE_URL"]) as conn:
            cursor = conn.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    async def asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the sandbox's control API."""
        answer = await self.control.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()

    async def send(self, provider: str, command: Command, now: Any) -> None:
        """Give a connector a command, as the gateway would."""
        await self.bus.publish(outgoing_command(provider, command, source="check", time=now))

    def link(self, user: str, institution: str, provider: str, *, username: str = "demo") -> None:
        """Have a user link an institution, signing in as ``username``."""
        frontend = Frontend(self.gateway, self.token(user))
        try:
            frontend.link(institution, lambda url: Visit(url, username=username).finish(), provider=provider)
        finally:
            frontend.close()

    async def until(self, enough: Callable[[], bool], what: str, patience: float) -> None:
        """Wait for something.

        Raises:
            TimeoutError: it never came.
        """
        deadline = time.monotonic() + patience
        while not await asyncio.to_thread(enough):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {patience:.0f} s for {what}")
            await asyncio.sleep(0.25)

    def kill(self, name: str) -> bool:
        """Kill a service without a word; the process runner starts it again."""
        row = self.stack.runner.states()[name]
        if row["statename"] == "RUNNING" and row["pid"]:
            os.kill(int(row["pid"]), signal.SIGKILL)
            return True
        return False

    @asynccontextmanager
    async def killing(self, *names: str, seed: int, every: tuple[float, float]) -> AsyncIterator[list[str]]:
        """Kill services at random while the block runs; yields the names killed so far."""
        rng, killed = random.Random(seed), []

        async def reap() -> None:
            while True:
                await asyncio.sleep(rng.uniform(*every))
                name = rng.choice(names)
                if await asyncio.to_thread(self.kill, name):
                    killed.append(name)

        task = asyncio.create_task(reap())
        try:
            yield killed
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextmanager
    def replica(self, name: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """One more process of a service, beside the stack's own."""
        program = self._programs[name]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", program.module],
                env={**os.environ, **program.environment, "PORT": "0"},
                stdout=out,
                stderr=out,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@asynccontextmanager
async def rig(folder: Path, settings: Mapping[str, str], say: Say) -> AsyncIterator[Rig]:
    """Start a stack of its own in ``folder``, and stop it in the end."""
    stack = Stack(folder, {**QUIET, **settings}, sandbox=True, remember=False, say=lambda _: None)
    with guarded(stack.folder):
        say("starting the whole stack")
        await asyncio.to_thread(stack.up, fast=True)
        amqp = next(program for program in stack.programs if program.name == "consolidator").environment[
            "AMQP_URL"
        ]
        bus = await RabbitBus.open(amqp, onefolio(), "check-fresh")
        try:
            async with httpx.AsyncClient(
                base_url=stack.state.url("sandbox-control"), timeout=300, trust_env=False
            ) as control:
                yield Rig(stack, bus, control)
        finally:
            await bus.close()
            await asyncio.to_thread(stack.down, purge=True)
