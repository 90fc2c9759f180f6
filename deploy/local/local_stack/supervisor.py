"""The process runner: a supervisord that keeps each program alive and can be asked about it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from local_servers import processes

from local_stack.programs import Program
from local_stack.state import write_private

LAUNCHER = Path(__file__).with_name("launch.py")
START_SECONDS = 15
SOCKET_PATH_LIMIT = 100
"""Unix sockets have short names; a folder with a long one keeps its socket in the temporary directory."""


class Runner:
    """One supervisord and the programs it runs, for one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self._config = folder / "supervisord.conf"
        self._programs = folder / "programs.json"
        self._pid_file = folder / "supervisord.pid"
        self._socket = _socket_path(folder)

    def start(self, programs: Sequence[Program]) -> None:
        """Start the runner and every program under it."""
        self.logs.mkdir(parents=True, exist_ok=True)
        write_private(self._programs, _described(programs))
        write_private(self._config, self._configuration(programs))
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
        subprocess.run(command, check=True, cwd=self.folder, env=_clean(), stdout=subprocess.DEVNULL)
        # It answers before its pid is on file, or the other way round; both must be there.
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the process runner did not start; see {self.logs}/supervisord.log")
            time.sleep(0.02)

    def running(self) -> bool:
        """Whether the runner is alive."""
        return self._pid() is not None

    def runs(self, programs: Sequence[Program]) -> bool:
        """Whether it was started with exactly these programs and settings."""
        return self._programs.exists() and self._programs.read_text() == _described(programs)

    def states(self) -> dict[str, dict[str, Any]]:
        """What the runner says of each program: ``statename``, ``pid``, ``spawnerr``."""
        if not self.running():
            return {}
        with self._rpc() as rpc:
            return {row["name"]: row for row in rpc.supervisor.getAllProcessInfo()}

    def restart(self, program: str) -> None:
        """Stop a program in order and start it again."""
        with self._rpc() as rpc:
            rpc.supervisor.stopProcess(program)
            rpc.supervisor.startProcess(program)

    def stop(self) -> bool:
        """Stop every program and the runner; says whether anything ran."""
        pid = self._pid()
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 40
        while _alive(pid):
            if time.monotonic() > deadline:
                raise RuntimeError("the process runner did not stop within 40 s")
            time.sleep(0.05)
        if self._socket.parent != self.folder:
            shutil.rmtree(self._socket.parent, ignore_errors=True)
        return True

    def _answers(self) -> bool:
        try:
            return bool(self.states())
        except OSError:
            return False

    def _pid(self) -> int | None:
        """The runner's process; a stranger that has its id by now (after a reboot, say) is not it."""
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self._config) in processes.command_line(pid) else None

    def _rpc(self) -> Any:
        # Imported here: supervisor needs setuptools' helpers only for its own command line.
        from supervisor.xmlrpc import SupervisorTransport  # noqa: PLC0415

        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def _configuration(self, programs: Sequence[Program]) -> str:
        sections = [
            f"[unix_http_server]\nfile={_literal(self._socket)}\nchmod=0700",
            (
                "[rpcinterface:supervisor]\n"
                "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface"
            ),
            f"[supervisord]\nlogfile={_literal(self.logs)}/supervisord.log\npidfile={_literal(self._pid_file)}\n"
            f"childlogdir={_literal(self.logs)}\nnocleanup=true\nloglevel=info" + _user(),
        ]
        sections += [self._section(program) for program in programs]
        return "\n\n".join(sections) + "\n"

    def _section(self, program: Program) -> str:
        # The log is named from the working directory: supervisor expands percent signs in this one value twice.
        command = shlex.join([sys.executable, str(LAUNCHER), str(self._programs), program.name])
        return (
            f"[program:{program.name}]\ncommand={_literal(command)}\n"
            f"directory={_literal(self.folder)}\nautorestart=true\nstartsecs=1\nstartretries=30\nstopsignal=TERM\n"
            f"stopwaitsecs=25\nkillasgroup=true\nredirect_stderr=true\n"
            f"stdout_logfile=logs/{program.name}.log\nstdout_logfile_maxbytes=10MB\n"
            f"stdout_logfile_backups=1"
        )


def _described(programs: Sequence[Program]) -> str:
    """What the launcher needs to know of each program."""
    return json.dumps(
        {one.name: {"module": one.module, "environment": dict(one.environment)} for one in programs}, indent=2
    )


def _literal(text: Path | str) -> str:
    """A percent sign is supervisor's own escape."""
    return str(text).replace("%", "%%")


def _clean() -> dict[str, str]:
    """The runner's own environment: what a process needs to run, none of the caller's secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "PYTHONWARNINGS")
    return {name: value for name, value in os.environ.items() if name in kept}


def _socket_path(folder: Path) -> Path:
    path = folder / "supervisor.sock"
    if len(str(path)) <= SOCKET_PATH_LIMIT:
        return path
    name = blake2b(str(folder).encode(), digest_size=6).hexdigest()
    short = Path(tempfile.gettempdir()) / f"onefolio-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    return short / "supervisor.sock"


def _user() -> str:
    return "\nuser=root" if os.geteuid() == 0 else ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state = Path(f"/proc/{pid}/stat")
    # A zombie answers signals but is gone; where there is no /proc, being signalled is all we know.
    return not state.exists() or ") Z " not in state.read_text()
