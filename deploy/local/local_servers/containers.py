"""The same two servers as containers, driven through the `docker` command where an engine answers."""

import hashlib
import secrets
import shutil
import subprocess
import time
from pathlib import Path

from local_servers import processes
from local_servers.records import Record, ServerError, say

IMAGES = {"postgres": "postgres:16", "rabbitmq": "rabbitmq:3.13"}
PORTS = {"postgres": 5432, "rabbitmq": 5672}
USER = "onefolio"
NODE_OPTIONS = "-rabbit max_message_size 4194304 -rabbit heartbeat 10 -rabbit channel_max 64"
BOOT_LIMIT = 180.0


def engine_answers() -> bool:
    """Whether a Docker engine is reachable with the `docker` command."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            check=False,
            timeout=15,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def start(name: str, directory: Path, *, fast: bool) -> Record:
    """Start the container of an earlier `up` again, or make a new one; returns once the server accepts logins."""
    container = _name(directory, name)
    if _docker("start", container, check=False) is None:
        say(name, f"starting a container of {IMAGES[name]} (the first time it is downloaded)")
        _docker(
            "run", "-d", "--name", container, "-p", f"127.0.0.1::{PORTS[name]}", *_options(name), IMAGES[name]
        )
    port = int((_docker("port", container, f"{PORTS[name]}/tcp") or "").split()[0].rpartition(":")[2])
    password = _password(container)
    record = Record(
        "container", _url(name, port, password), {"container": container, "port": port, "fast": fast}
    )
    if not processes.wait_until(lambda: _ready(name, container, port), BOOT_LIMIT, every=0.5):
        raise ServerError(f"container {container} did not become ready; see: docker logs {container}")
    say(name, f"ready on port {port}")
    return record


def healthy(record: Record) -> bool:
    """Whether the container runs."""
    shown = _docker("inspect", "-f", "{{.State.Running}}", record.details["container"], check=False)
    return shown is not None and shown.strip() == "true"


def stop(record: Record) -> None:
    """Stop the container; remove it with its data where the data is to be thrown away."""
    if record.details["fast"]:
        _docker("rm", "-f", "-v", record.details["container"], check=False)
    else:
        _docker("stop", record.details["container"], check=False)


def remove(directory: Path) -> None:
    """Delete the directory's containers and their data, running or not."""
    if shutil.which("docker") is not None:
        for name in IMAGES:
            _docker("rm", "-f", "-v", _name(directory, name), check=False)


def control(record: Record, *arguments: str) -> str:
    """Run `rabbitmqctl` inside the container."""
    return _docker("exec", record.details["container"], "rabbitmqctl", "-q", *arguments) or ""


def _name(directory: Path, name: str) -> str:
    return f"onefolio-{hashlib.sha256(str(directory).encode()).hexdigest()[:10]}-{name}"


def _options(name: str) -> list[str]:
    password = secrets.token_hex(16)
    values = {
        "postgres": {"POSTGRES_USER": USER, "POSTGRES_DB": USER, "POSTGRES_PASSWORD": password},
        "rabbitmq": {
            "RABBITMQ_DEFAULT_USER": USER,
            "RABBITMQ_DEFAULT_PASS": password,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": NODE_OPTIONS,
        },
    }[name]
    options = [part for key, value in values.items() for part in ("-e", f"{key}={value}")]
    return ["--hostname", "onefolio", *options, "-e", f"ONEFOLIO_PASSWORD={password}"]


def _password(container: str) -> str:
    shown = _docker("inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", container) or ""
    found = [line.partition("=")[2] for line in shown.splitlines() if line.startswith("ONEFOLIO_PASSWORD=")]
    if not found:
        raise ServerError(f"container {container} was not made by this tool; remove it or rename it")
    return found[0]


def _url(name: str, port: int, password: str) -> str:
    if name == "postgres":
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{USER}"
    return f"amqp://{USER}:{password}@127.0.0.1:{port}/"


def _ready(name: str, container: str, port: int) -> bool:
    if name == "rabbitmq":
        return processes.answers(port, b"AMQP\x00\x00\x09\x01", (b"\x01",))
    # The image restarts PostgreSQL once after its first start; only the second one listens on TCP.
    ready = ("pg_isready", "-h", "127.0.0.1", "-U", USER)
    if _docker("exec", container, *ready, check=False) is None:
        return False
    time.sleep(0.5)
    return _docker("exec", container, *ready, check=False) is not None


def _docker(*arguments: str, check: bool = True) -> str | None:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    if check:
        raise ServerError(f"docker {arguments[0]} failed: {done.stderr.strip()}")
    return None
