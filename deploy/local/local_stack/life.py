"""Bringing a stack up and down: servers, roles and schemas, then the programs."""

import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import local_servers
import structlog

from local_stack.programs import Program, Servers, programs
from local_stack.state import State, load
from local_stack.supervisor import Runner
from persistence import migrate

READY_SECONDS = 90
WRONGLY_CONFIGURED = 78
"""The exit status of a service that refuses its settings."""


class StackError(Exception):
    """The stack cannot be brought up; the message says what to do."""


class Stack:
    """Onefolio on this machine, kept in one folder.

    Args:
        folder: where state, logs and (private servers') data are kept.
        given: the environment whose ``DATABASE_URL`` and ``AMQP_URL`` are used when present.
        sandbox: talk to the provider sandbox instead of the providers.
        remember: let the sandbox survive being killed, at some milliseconds a change.
        say: told about each step that takes time.
    """

    def __init__(
        self,
        folder: Path,
        given: Mapping[str, str],
        *,
        sandbox: bool,
        remember: bool = True,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder = folder.resolve()
        self.sandbox = sandbox
        self._remember = remember
        self.runner = Runner(self.folder)
        self._given = given
        self._say = say
        self._state: State | None = None
        self.programs: list[Program] = []

    @property
    def state(self) -> State:
        """Ports and secrets; read from the folder when first asked."""
        if self._state is None:
            self._state = load(self.folder, keep_ports=self.runner.running())
        return self._state

    def up(self, *, fast: bool = False) -> None:
        """Start whatever does not run yet and wait until every service is ready.

        Raises:
            StackError: a server or a service does not come up.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._say("starting PostgreSQL and RabbitMQ")
        found = local_servers.start(self.folder / "servers", fast=fast, environ=dict(self._given))
        self._say("migrating the database")
        # The steps are told here; the migrations' own log lines are for deployments.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        databases = migrate.prepare(found.database_url, self.state.roles)
        migrate.upgrade(found.database_url)
        self.programs = wanted = programs(
            self.state,
            Servers(databases, found.amqp_url),
            self._given,
            sandbox=self._sandbox_memory() if self.sandbox else None,
        )
        if not any(program.name.endswith("-connector") for program in wanted):
            raise StackError(
                "no provider is configured: set SNAPTRADE_CLIENT_ID or PLAID_CLIENT_ID, or use the sandbox"
            )
        if not self.runner.running():
            self._say(f"starting {', '.join(program.name for program in wanted)}")
            self.runner.start(wanted)
        self._await_ready(wanted)

    def down(self) -> bool:
        """Stop the programs and the private servers; says whether anything ran."""
        ran = self.runner.stop()
        stopped = local_servers.down(self.folder / "servers", purge=False)
        return ran or bool(stopped)

    def _sandbox_memory(self) -> str:
        return str(self.folder / "provider-sandbox.state") if self._remember else ""

    def _await_ready(self, wanted: list[Program]) -> None:
        waiting = {program.name: program for program in wanted}
        deadline = time.monotonic() + READY_SECONDS
        while waiting:
            waiting = {name: program for name, program in waiting.items() if not answers(program.ready_url)}
            if not waiting:
                return
            states = self.runner.states()
            dead = [name for name in waiting if _given_up(states.get(name, {}))]
            if dead or time.monotonic() > deadline:
                raise StackError(self._why(dead or sorted(waiting)))
            time.sleep(0.1)

    def _why(self, names: list[str]) -> str:
        lines = [f"{', '.join(names)} did not come up. The last lines of the logs:"]
        for name in names:
            log = self.runner.logs / f"{name}.log"
            tail = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else ["(no log)"]
            lines += [f"--- {log}", *tail]
        return "\n".join(lines)


def _given_up(row: Mapping[str, Any]) -> bool:
    """Whether a program will not come up by being started again."""
    return row.get("statename") in {"FATAL", None} or row.get("exitstatus") == WRONGLY_CONFIGURED


def answers(url: str) -> bool:
    """Whether a program says it is ready."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def default_folder() -> Path:
    """Where ``make up`` keeps its stack; ``ONEFOLIO_RUN`` moves it."""
    return Path(os.environ.get("ONEFOLIO_RUN", Path(__file__).resolve().parents[3] / ".run")) / "stack"
