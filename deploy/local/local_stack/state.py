"""What a stack remembers between runs: its ports and its secrets, made on the machine and kept private."""

import base64
import fcntl
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

PORTS = {
    "gateway": 8080,
    "webhooks": 8081,
    "consolidator": 8082,
    "snaptrade-connector": 8083,
    "plaid-connector": 8084,
    "sandbox-control": 8900,
    "sandbox-snaptrade": 8901,
    "sandbox-plaid": 8902,
}
"""The ports people know; a busy one is replaced by a free one when the stack is first made."""
DATABASE_ROLES = ("onefolio_consolidator", "onefolio_connector", "onefolio_gateway", "onefolio_webhooks")


@dataclass(frozen=True, slots=True)
class State:
    """Ports by name, and the secrets of this installation."""

    ports: dict[str, int]
    secrets: dict[str, str]
    roles: dict[str, str] = field(default_factory=dict)

    def url(self, name: str) -> str:
        """Where a program of this stack answers."""
        return f"http://127.0.0.1:{self.ports[name]}"


def load(folder: Path, *, keep_ports: bool) -> State:
    """The state kept in a folder, completed by what is missing.

    A port that is taken by somebody else is replaced, unless ``keep_ports``: then the programs that hold the
    ports are this stack's own.
    """
    path = folder / "state.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    ports = {name: old.get("ports", {}).get(name, port) for name, port in PORTS.items()}
    if not keep_ports:
        ports = _free(ports)
    state = State(
        ports=ports,
        secrets=_fresh_secrets() | old.get("secrets", {}),
        roles={role: secrets.token_urlsafe(24) for role in DATABASE_ROLES} | old.get("roles", {}),
    )
    write_private(path, json.dumps(asdict(state), indent=2))
    return state


@contextmanager
def alone() -> Iterator[None]:
    """One stack at a time chooses its ports and takes them; else two that start together choose the same."""
    path = Path(tempfile.gettempdir()) / f"onefolio-ports-{os.getuid()}.lock"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def _fresh_secrets() -> dict[str, str]:
    key = base64.b64encode(os.urandom(32)).decode()
    return {
        "service_auth": secrets.token_urlsafe(32),
        "jwt": secrets.token_urlsafe(32),
        "master_keys": f"local-1:{key}",
        "sandbox_snaptrade_key": secrets.token_urlsafe(24),
        "sandbox_plaid_secret": secrets.token_urlsafe(24),
    }


def _free(ports: dict[str, int]) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for name, port in ports.items():
        chosen[name] = port if port not in chosen.values() and _bindable(port) else _any_port()
    return chosen


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
