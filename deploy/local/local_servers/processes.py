"""Processes by id, never by name: start detached, recognise again after a pid was reused, stop."""

import atexit
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Children stay referenced: a collected Popen of a running process warns, and one that is polled never stays a zombie.
_started: list[subprocess.Popen[bytes]] = []


@atexit.register
def _let_go() -> None:
    """Children that outlive us do so on purpose: nothing to warn about."""
    for child in _started:
        if child.poll() is None:
            child.returncode = 0


def spawn(
    command: list[str], log: Path, cwd: Path, env: dict[str, str], **identity: Any
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that a Ctrl-C meant for us does not reach it."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **identity,
        )
    _started.append(child)
    return child


def birth(pid: int) -> str | None:
    """A text that tells this process from a later one with the same id; None when it is gone or a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def command_line(pid: int) -> str:
    """What the process was started as; empty when it is gone."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    asked = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def mark(pid: int) -> list[str | int]:
    """The pair (pid, birth) to keep in a record."""
    return [pid, birth(pid) or ""]


def alive(marked: list[str | int] | None) -> bool:
    """Whether the marked process, and not a later one with its id, still runs."""
    return bool(marked) and marked is not None and birth(int(marked[0])) == marked[1]


def stop(marked: list[str | int] | None, sig: signal.Signals, patience: float) -> None:
    """Signal the marked process, wait for its end, and kill it when `patience` seconds were not enough."""
    for attempt, limit in ((sig, patience), (signal.SIGKILL, 10.0)):
        if marked is None or not alive(marked):
            return
        try:
            os.kill(int(marked[0]), attempt)
        except ProcessLookupError:
            return
        if wait_until(lambda: not alive(marked), limit):
            return


def wait_until(ready: Callable[[], bool], limit: float, every: float = 0.05) -> bool:
    """Poll until `ready()` or until `limit` seconds have passed; reaps our own children on the way."""
    deadline = time.monotonic() + limit
    while not ready():
        for child in _started:
            child.poll()
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int, question: bytes, answer: tuple[bytes, ...]) -> bool:
    """Whether the server on this port replies to `question` with a first byte out of `answer`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            link.sendall(question)
            return link.recv(1) in answer
    except OSError:
        return False


def works_in(pid: int, directory: Path) -> bool:
    """Whether the process's working directory is `directory` (Linux only; elsewhere False)."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == directory.resolve() and birth(pid) is not None
    except OSError:
        return False
