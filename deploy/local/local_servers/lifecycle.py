"""Bring both servers up, find them again, and take them down: each from the first source that is there."""

import fcntl
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from local_servers import containers, debian, postgres, processes, rabbitmq, records
from local_servers.accounts import account, data_of, home_for, remove
from local_servers.records import LABELS, NAMES, VARIABLES, NoAdminAccessError, Record, ServerError

NATIVE = {"postgres": postgres, "rabbitmq": rabbitmq}
HOW = """\
{missing}: not installed, and no Docker engine answers. One of these helps:
  - install PostgreSQL 14 or newer and RabbitMQ 3.10 or newer (Debian: apt-get install postgresql rabbitmq-server;
    as root this command does it by itself)
  - start Docker
  - point at servers that run already: DATABASE_URL=postgresql://user:password@host/database
    and AMQP_URL=amqp://user:password@host/"""


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers of one directory."""

    directory: Path
    postgres: Record
    rabbitmq: Record

    @property
    def database_url(self) -> str:
        """URL of a database role that may create databases and roles."""
        return self.postgres.url

    @property
    def amqp_url(self) -> str:
        """URL of an administrator on the default virtual host."""
        return self.rabbitmq.url

    def rabbitmqctl(self, *arguments: str) -> str:
        """Administer the broker; raises `NoAdminAccessError` where it was given by URL only."""
        if self.rabbitmq.kind == "native":
            return rabbitmq.control(self.rabbitmq, account(), *arguments)
        if self.rabbitmq.kind == "container":
            return containers.control(self.rabbitmq, *arguments)
        raise NoAdminAccessError("the broker was given by AMQP_URL; rabbitmqctl cannot reach it")

    def stop(self) -> None:
        """Stop what `start` started; instances made for tests lose their data."""
        down(self.directory, purge=bool(self.rabbitmq.details.get("fast")))


def start(directory: Path | str, *, fast: bool = True, environ: Mapping[str, str] | None = None) -> Servers:
    """Both servers, running: those of an earlier call where they are healthy, else new ones.

    Args:
        directory: where data, ports and process ids are kept.
        fast: for tests: no fsync, and `stop` deletes the data.
        environ: where DATABASE_URL and AMQP_URL are looked up; empty to ignore them.

    Raises:
        ServerError: with what to do about it.
    """
    where = Path(directory).resolve()
    given = os.environ if environ is None else environ
    with records.locked(where):
        known = records.read(where)
        wanted = {name: _kept(name, known.get(name), given) for name in NAMES}
        missing = [name for name, record in wanted.items() if record is None]
        if missing:
            _install_if_needed(missing)
            running = _started(missing, where, known, fast=fast)
            wanted |= {name: running[name] for name in missing}
    return Servers(where, *[record for name in NAMES if (record := wanted[name])])


up = start


def load(directory: Path | str) -> Servers | None:
    """The servers noted in a directory, healthy or not; None when there are none."""
    where = Path(directory).resolve()
    known = records.read(where)
    return Servers(where, known["postgres"], known["rabbitmq"]) if set(known) == set(NAMES) else None


def healthy(record: Record) -> bool:
    """Whether a server of ours runs and answers; one given by URL is not ours to judge."""
    if record.kind == "given":
        return True
    source = containers if record.kind == "container" else _native(record)
    return bool(source.healthy(record))


def down(directory: Path | str, *, purge: bool = False) -> list[str]:
    """Stop every server of the directory and say which; with `purge` their data is deleted."""
    where = Path(directory).resolve()
    if not where.exists():
        return []
    with records.locked(where):
        known = {name: record for name, record in records.read(where).items() if record.kind != "given"}
        with ThreadPoolExecutor() as pool:
            list(pool.map(_stop, known.values()))
        data = data_of(where, account())
        if data.exists():
            # An interrupted start leaves processes that no record names.
            for name, module in NATIVE.items():
                module.stop_leftovers(data / name)
        records.forget(where)
        if purge:
            containers.remove(where)
            remove(data)
    return [LABELS[name] for name in known]


def _kept(name: str, record: Record | None, environ: Mapping[str, str]) -> Record | None:
    url = environ.get(VARIABLES[name])
    if url and (record is None or url != record.url):
        return Record("given", url)
    return record if record and record.kind != "given" and healthy(record) else None


def _install_if_needed(missing: list[str]) -> None:
    absent = [name for name in missing if NATIVE[name].binaries() is None]
    if not absent or containers.engine_answers():
        return
    if not debian.possible():
        raise ServerError(HOW.format(missing=" and ".join(LABELS[name] for name in absent)))
    debian.install(absent)


def _started(missing: list[str], where: Path, known: dict[str, Record], *, fast: bool) -> dict[str, Record]:
    """Start the missing servers side by side, and note each as soon as it runs."""
    where.chmod(where.stat().st_mode | 0o011)
    user = account()
    native = any(NATIVE[name].binaries() is not None for name in missing)
    data = home_for(where, user) if native else where
    kept = {name: record for name, record in known.items() if name not in missing}
    failures: list[BaseException] = []

    def begin(name: str) -> tuple[str, Record]:
        stale = known.get(name)
        if stale:
            _stop(stale)
        if NATIVE[name].binaries() is None:
            return name, containers.start(name, where, fast=fast)
        return name, NATIVE[name].start(data, user, fast=fast)

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(begin, name) for name in missing]:
            try:
                name, record = future.result()
            except (ServerError, OSError) as error:
                failures.append(error)
            else:
                kept[name] = record
                records.write(where, kept)
    if failures:
        raise ServerError("\n".join(str(failure) for failure in failures))
    return kept


def _native(record: Record) -> ModuleType:
    return postgres if record.url.startswith("postgres") else rabbitmq


def _stop(record: Record) -> None:
    if record.kind == "container":
        containers.stop(record)
    elif record.kind == "native":
        _native(record).stop(record)


def guard(directory: Path, owner: int) -> None:
    """Wait until the owning process is gone (or the servers are), then take them down for good.

    One guard per directory is enough; a second one returns at once.
    """
    owner_mark = processes.mark(owner)
    with (directory / "guard.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        while processes.alive(owner_mark):
            if not (directory / "servers.json").exists():
                return
            processes.wait_until(lambda: not processes.alive(owner_mark), 1.0, every=0.5)
        noted = load(directory)
        if noted:
            print("servers: the owner is gone; stopping", file=sys.stderr)
            noted.stop()
