"""Bringing a stack up and down: servers, roles and schemas, then the programs."""

import logging
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import local_servers
import psycopg
import sqlalchemy.exc
import structlog
from local_servers import records

from local_stack.programs import Program, Servers, programs
from local_stack.state import State, alone, load
from local_stack.supervisor import Runner
from persistence import migrate
from persistence.roles import RoleError

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
        _check_broker(found.amqp_url)
        with alone():
            self._start(Servers(_migrated(found.database_url, self.state.roles, self._say), found.amqp_url))

    def _start(self, servers: Servers) -> None:
        self.programs = wanted = programs(
            self.state,
            servers,
            self._given,
            sandbox=self._sandbox_memory() if self.sandbox else None,
        )
        if not any(program.name.endswith("-connector") for program in wanted):
            raise StackError(
                "no provider is configured: set SNAPTRADE_CLIENT_ID or PLAID_CLIENT_ID, or use the sandbox"
            )
        if self.runner.running() and not self.runner.runs(wanted):
            self._say("the settings are not those of before; stopping the programs")
            self.runner.stop()
        if not self.runner.running():
            self._say(f"starting {', '.join(program.name for program in wanted)}")
            self.runner.start(wanted)
        self._await_ready(wanted)

    def down(self, *, purge: bool = False) -> bool:
        """Stop the programs and the private servers; says whether anything ran.

        The servers' data stays, unless `purge` or unless it was made for tests (``up(fast=True)``).
        """
        noted = records.read(self.folder / "servers")
        fast = any(record.details.get("fast") for record in noted.values())
        try:
            ran = self.runner.stop()
        finally:
            stopped = local_servers.down(self.folder / "servers", purge=purge or fast)
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


def _check_broker(url: str) -> None:
    """Say at once what every service would only say after a minute and a half of trying."""
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or (5671 if parts.scheme == "amqps" else 5672)
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError as error:
        raise StackError(f"RabbitMQ does not answer at {host}:{port}: {error}") from error


def _migrated(admin_url: str, passwords: Mapping[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """The URL of each login role, in a database that is up to date."""
    say("migrating the database")
    # The steps are told by the stack; the migrations' own log lines are for deployments.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        databases = migrate.prepare(admin_url, passwords)
        migrate.upgrade(admin_url)
    except (psycopg.Error, sqlalchemy.exc.SQLAlchemyError, migrate.MigrationError, RoleError) as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise StackError(f"the database cannot be prepared: {error}{cause}") from error
    return databases


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
