"""A private PostgreSQL cluster: TCP on loopback only, one superuser with a generated password."""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from local_servers import processes
from local_servers.accounts import Account
from local_servers.records import Record, ServerError, say, write_private

ROLE = "onefolio"
DATABASE = "onefolio"
DURABLE = {"fsync": "on", "synchronous_commit": "on"}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum_naptime": "10s"}
BINARIES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)


def binaries() -> Path | None:
    """The newest installed `bin` directory that has all of initdb, postgres and pg_ctl."""
    places = [found for pattern in BINARIES for found in Path("/").glob(pattern.lstrip("/"))]
    on_path = shutil.which("initdb")
    if on_path:
        places.append(Path(on_path).resolve().parent)
    complete = [p for p in places if all((p / tool).exists() for tool in ("initdb", "pg_ctl", "pg_isready"))]
    return max(complete, key=_version, default=None)


def start(data: Path, user: Account, *, fast: bool) -> Record:
    """Create the cluster on first use, start it on a free port and return its record."""
    bin_dir = binaries()
    if bin_dir is None:
        raise ServerError("PostgreSQL's initdb and pg_ctl were not found")
    home = data / "postgres"
    stop_leftovers(home)
    password = _initialised(bin_dir, home, user, fast=fast)
    port = _port_of(home)
    _configure(home, user, port, fast=fast)
    _pg_ctl(bin_dir, home, user)
    pid = int((home / "postmaster.pid").read_text().split()[0])
    _create_database(bin_dir, port, password)
    say("postgres", f"ready on port {port}")
    url = f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}"
    return Record("native", url, {"port": port, "pid": processes.mark(pid), "fast": fast})


def healthy(record: Record) -> bool:
    """Whether our postmaster runs and answers."""
    ssl_request = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
    return processes.alive(record.details["pid"]) and processes.answers(
        record.details["port"], ssl_request, (b"N", b"S")
    )


def stop(record: Record) -> None:
    """Stop it: a fast shutdown, an immediate one where the data is thrown away."""
    sig = signal.SIGQUIT if record.details["fast"] else signal.SIGINT
    processes.stop(record.details["pid"], sig, patience=20)


def _version(bin_dir: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in "".join(c if c.isdigit() else " " for c in str(bin_dir)).split())


def _initialised(bin_dir: Path, home: Path, user: Account, *, fast: bool) -> str:
    kept = home.parent / "postgres.password"
    if (home / "PG_VERSION").exists() and kept.exists():
        return kept.read_text()
    say("postgres", "creating a database cluster")
    shutil.rmtree(home, ignore_errors=True)
    password = secrets.token_hex(16)
    write_private(kept, password)
    user.own(kept)
    locale = "--locale=C.UTF-8" if os.uname().sysname == "Linux" else "--no-locale"
    command = [bin_dir / "initdb", "-D", home, "-U", ROLE, f"--pwfile={kept}", "--auth=scram-sha-256", locale]
    _run([*command, "--encoding=UTF8", *(["--no-sync"] if fast else [])], home.parent, user)
    return password


def _port_of(home: Path) -> int:
    """The port used last time where it is still free, so that URLs stay the same over restarts."""
    try:
        last = int((home / "onefolio.port").read_text())
    except (FileNotFoundError, ValueError):
        return processes.free_port()
    return last if processes.is_free(last) else processes.free_port()


def _configure(home: Path, user: Account, port: int, *, fast: bool) -> None:
    settings: dict[str, Any] = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "timezone": "UTC",
        "log_timezone": "UTC",
    } | (FAST if fast else DURABLE)
    (home / "onefolio.port").write_text(str(port))
    (home / "postgresql.auto.conf").write_text(
        "".join(f"{key} = '{value}'\n" for key, value in settings.items())
    )
    user.own(home / "onefolio.port", home / "postgresql.auto.conf")


def _pg_ctl(bin_dir: Path, home: Path, user: Account) -> None:
    log = home.parent / "postgres.log"
    try:
        _run([bin_dir / "pg_ctl", "-D", home, "-l", log, "-w", "-t", "60", "start"], home.parent, user)
    except ServerError as error:
        tail = log.read_text()[-2000:] if log.exists() else ""
        raise ServerError(f"{error}\n{tail}") from error


def _create_database(bin_dir: Path, port: int, password: str) -> None:
    address = ["-h", "127.0.0.1", "-p", str(port), "-U", ROLE]
    env = {"PGPASSWORD": password, "PATH": os.environ.get("PATH", "")}
    made = subprocess.run(
        [bin_dir / "createdb", *address, DATABASE], env=env, capture_output=True, text=True, check=False
    )
    if made.returncode and "already exists" not in made.stderr:
        raise ServerError(f"createdb failed: {made.stderr.strip()}")


def stop_leftovers(home: Path) -> None:
    """Stop a postmaster that was left running in this very directory (its record was lost)."""
    try:
        pid = int((home / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    if processes.works_in(pid, home):
        processes.stop(processes.mark(pid), signal.SIGINT, patience=20)


def _run(command: list[Any], cwd: Path, user: Account) -> None:
    # Output goes to a file: a daemon that inherits a pipe would keep its reader waiting for ever.
    log = cwd / "postgres.commands.log"
    with log.open("ab") as output:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            start_new_session=True,
            **user.popen(),
        )
    if done.returncode:
        raise ServerError(
            f"{Path(str(command[0])).name} failed ({done.returncode}); see {log}:\n{log.read_text()[-1500:]}"
        )
