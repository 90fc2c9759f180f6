"""A private RabbitMQ node: its own name, ports, cookie, port mapper and files; it shares nothing with another node."""

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from local_servers import processes
from local_servers.accounts import Account
from local_servers.records import Record, ServerError, say, write_private

USER = "onefolio"
BINARIES = (
    "/usr/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/opt/rabbitmq/sbin",
)
BOOT_LIMIT = 90.0
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CONFIG = """\
listeners.tcp.local = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
default_user_tags.administrator = true
loopback_users.guest = true
disk_free_limit.absolute = {disk_free_limit}
vm_memory_high_watermark.relative = 0.4
max_message_size = 4194304
channel_max = 64
heartbeat = 10
raft.wal_max_size_bytes = 67108864
log.file.level = warning
"""


def binaries() -> Path | None:
    """The directory of `rabbitmq-server` and `rabbitmqctl`.

    Debian's wrappers in /usr/sbin insist on the system's own rabbitmq account and home, so the scripts they
    wrap are used.
    """
    if shutil.which("erl") is None:
        return None
    places = [Path(place) for place in BINARIES]
    on_path = shutil.which("rabbitmq-server")
    if on_path:
        places.append(Path(on_path).parent)
    return next((place for place in places if (place / "rabbitmq-server").exists()), None)


def start(data: Path, user: Account, *, fast: bool) -> Record:
    """Boot the node and return its record once it speaks AMQP (5 to 15 seconds)."""
    bin_dir = binaries()
    if bin_dir is None:
        raise ServerError("rabbitmq-server was not found")
    home = data / "rabbitmq"
    stop_leftovers(home)
    password = _prepared(home, user)
    ports = {name: processes.free_port() for name in ("dist", "epmd")} | {"amqp": _port_of(home)}
    _configure(home, user, ports["amqp"], password, fast=fast)
    env = _environment(home, ports)
    pids = {"epmd": _start_epmd(home, user, env)}
    pids |= _boot(bin_dir, home, user, env, pids)
    say("rabbitmq", f"ready on port {ports['amqp']}")
    details: dict[str, Any] = {
        "port": ports["amqp"],
        "pids": pids,
        "env": env,
        "home": str(home),
        "fast": fast,
    }
    return Record("native", f"amqp://{USER}:{password}@127.0.0.1:{ports['amqp']}/", details)


def healthy(record: Record) -> bool:
    """Whether our node runs and speaks AMQP."""
    return processes.alive(record.details["pids"]["node"]) and processes.answers(
        record.details["port"], PROTOCOL_HEADER, (b"\x01",)
    )


def stop(record: Record) -> None:
    """Stop the node, then its shell wrapper, then its port mapper."""
    pids = record.details["pids"]
    node_signal = signal.SIGKILL if record.details["fast"] else signal.SIGTERM
    processes.stop(pids.get("node"), node_signal, patience=40)
    processes.stop(pids.get("wrapper"), signal.SIGTERM, patience=5)
    processes.stop(pids.get("epmd"), signal.SIGTERM, patience=5)
    pid_log = Path(record.details["home"]) / "started.pids"
    if pid_log.exists():
        pid_log.unlink()


def control(record: Record, user: Account, *arguments: str) -> str:
    """Run `rabbitmqctl` against this node and return what it printed; about a second per call."""
    bin_dir = binaries()
    if bin_dir is None:
        raise ServerError("rabbitmqctl was not found")
    done = subprocess.run(
        [str(bin_dir / "rabbitmqctl"), "-q", *arguments],
        env=record.details["env"],
        cwd=record.details["home"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **user.popen(),
    )
    if done.returncode:
        raise ServerError(f"rabbitmqctl {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
    return str(done.stdout)


def _prepared(home: Path, user: Account) -> str:
    for directory in (home, home / "mnesia", home / "log", home / "home"):
        directory.mkdir(mode=0o700, exist_ok=True)
        user.own(directory)
    secrets_of = {home / "password": 0o600, home / "home" / ".erlang.cookie": 0o400}
    for path, mode in secrets_of.items():
        if not path.exists():
            write_private(path, secrets.token_hex(16))
            path.chmod(mode)
            user.own(path)
    (home / "enabled_plugins").write_text("[].\n")
    user.own(home / "enabled_plugins")
    return (home / "password").read_text()


def _port_of(home: Path) -> int:
    try:
        last = int((home / "port").read_text())
    except (FileNotFoundError, ValueError):
        return processes.free_port()
    return last if processes.is_free(last) else processes.free_port()


def _configure(home: Path, user: Account, port: int, password: str, *, fast: bool) -> None:
    roomy = shutil.disk_usage(home).free > 4_000_000_000
    limit = "50MB" if fast else "2GB" if roomy else "200MB"
    if not fast and not roomy:
        say("rabbitmq", "little disk space is free; publishing stops below 200 MB instead of 2 GB")
    text = CONFIG.format(port=port, user=USER, password=password, disk_free_limit=limit)
    write_private(home / "rabbitmq.conf", text)
    (home / "port").write_text(str(port))
    user.own(home / "rabbitmq.conf", home / "port")


def _environment(home: Path, ports: dict[str, int]) -> dict[str, str]:
    """A complete environment: nothing of the caller's RABBITMQ_ or ERL_ variables may reach the node."""
    name = hashlib.sha256(str(home).encode()).hexdigest()[:10]
    quiet = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
    return {
        "PATH": os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": str(home / "home"),
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_NODENAME": f"onefolio-{name}@localhost",
        "RABBITMQ_NODE_PORT": str(ports["amqp"]),
        "RABBITMQ_DIST_PORT": str(ports["dist"]),
        "RABBITMQ_CTL_DIST_PORT_MIN": "30000",
        "RABBITMQ_CTL_DIST_PORT_MAX": "60000",
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_PID_FILE": str(home / "node.pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": quiet,
    }


def _start_epmd(home: Path, user: Account, env: dict[str, str]) -> list[str | int]:
    """Run the port mapper ourselves: the one a node starts by itself would outlive it, with no id to stop it by."""
    epmd = shutil.which("epmd") or "epmd"
    started = processes.spawn([epmd], home / "epmd.log", home, env, **user.popen())
    port = int(env["ERL_EPMD_PORT"])
    if not processes.wait_until(lambda: not processes.is_free(port), 10):
        raise ServerError(f"epmd did not listen on port {port}; see {home / 'epmd.log'}")
    return processes.mark(started.pid)


def _boot(
    bin_dir: Path, home: Path, user: Account, env: dict[str, str], pids: dict[str, list[str | int]]
) -> dict[str, list[str | int]]:
    pid_file = home / "node.pid"
    port = int(env["RABBITMQ_NODE_PORT"])
    pid_file.unlink(missing_ok=True)
    say("rabbitmq", "booting, usually 5 to 15 seconds")
    wrapper = processes.spawn(
        [str(bin_dir / "rabbitmq-server")], home / "boot.log", home, env, **user.popen()
    )
    found = {"wrapper": processes.mark(wrapper.pid)}
    _remember(home, pids | found)
    deadline = time.monotonic() + BOOT_LIMIT
    while not processes.answers(port, PROTOCOL_HEADER, (b"\x01",)):
        if wrapper.poll() is not None or time.monotonic() > deadline:
            stop_leftovers(home)
            raise ServerError(f"RabbitMQ did not start:\n{(home / 'boot.log').read_text()[-3000:]}")
        time.sleep(0.1)
    found["node"] = processes.mark(int(pid_file.read_text()))
    _remember(home, pids | found)
    return found


def _remember(home: Path, pids: dict[str, list[str | int]]) -> None:
    lines = [f"{name} {pid} {birth}" for name, (pid, birth) in pids.items()]
    (home / "started.pids").write_text("\n".join(lines))


def stop_leftovers(home: Path) -> None:
    """Stop what an interrupted start left behind: every process noted there, and the node it had become."""
    marks: list[list[str | int]] = []
    if (home / "started.pids").exists():
        lines = (home / "started.pids").read_text().splitlines()
        marks = [[int(pid), birth] for _, pid, birth in (line.split(" ", 2) for line in lines)]
    try:
        node = int((home / "node.pid").read_text())
    except (FileNotFoundError, ValueError):
        node = 0
    if node and processes.works_in(node, home):
        marks.append(processes.mark(node))
    for marked in reversed(marks):
        processes.stop(marked, signal.SIGTERM, patience=20)
    (home / "started.pids").unlink(missing_ok=True)
