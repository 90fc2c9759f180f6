"""What is remembered of a running server: one JSON file per directory, readable by its owner only."""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("postgres", "rabbitmq")
VARIABLES = {"postgres": "DATABASE_URL", "rabbitmq": "AMQP_URL"}
LABELS = {"postgres": "PostgreSQL", "rabbitmq": "RabbitMQ"}


class ServerError(RuntimeError):
    """A server could not be started, reached or stopped; the text says what to do."""


class NoAdminAccessError(ServerError):
    """The server was given by its URL only, so its administration commands are out of reach."""


@dataclass(frozen=True, slots=True)
class Record:
    """One server: how it runs (`given`, `native`, `container`), its URL, and what is needed to stop it."""

    kind: str
    url: str
    details: dict[str, Any] = field(default_factory=dict)


def read(directory: Path) -> dict[str, Record]:
    """The records kept in `directory`; empty when there are none or the file was cut short by a crash."""
    try:
        raw = json.loads((directory / "servers.json").read_text())
        return {name: Record(**raw[name]) for name in NAMES if name in raw}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        print(f"servers: ignoring an unreadable {directory / 'servers.json'}: {error}", file=sys.stderr)
        return {}


def write(directory: Path, records: dict[str, Record]) -> None:
    """Replace the file in one step, so a crash leaves the old one or the new one; mode 0600."""
    text = json.dumps({name: asdict(record) for name, record in records.items()}, indent=2)
    draft = directory / "servers.json.new"
    write_private(draft, text)
    draft.replace(directory / "servers.json")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, also while it is being written."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def forget(directory: Path) -> None:
    """Remove the file: from here on there are no servers in this directory."""
    (directory / "servers.json").unlink(missing_ok=True)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One `up` or `down` at a time per directory; the lock dies with its holder."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(name: str, text: str) -> None:
    """One progress line on stderr, so that `env` stays clean on stdout."""
    print(f"  {LABELS.get(name, name)}: {text}", file=sys.stderr, flush=True)
