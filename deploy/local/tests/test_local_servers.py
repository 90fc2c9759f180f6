"""The private servers: found, started, recognised, stopped; and nothing else touched."""

import contextlib
import os
import signal
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import local_servers
import pytest
from local_servers import NoAdminAccessError, ServerError, containers, debian, lifecycle, processes, records
from local_servers.records import Record

COMMAND = Path(__file__).parents[1] / "servers.py"
GIVEN = {"DATABASE_URL": "postgresql://u:p@db/x", "AMQP_URL": "amqp://u:p@mq/"}


def command(*arguments, **environ):
    clean = {name: value for name, value in os.environ.items() if name not in GIVEN}
    return subprocess.run(
        [sys.executable, str(COMMAND), *map(str, arguments)],
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_given_urls_are_used_and_left_alone(tmp_path):
    servers = local_servers.start(tmp_path, environ=GIVEN)
    assert (servers.database_url, servers.amqp_url) == (GIVEN["DATABASE_URL"], GIVEN["AMQP_URL"])
    with pytest.raises(NoAdminAccessError):
        servers.rabbitmqctl("status")
    servers.stop()
    assert local_servers.down(tmp_path) == []


def test_a_given_server_wins_over_a_private_one_that_still_runs(tmp_path, docker, monkeypatch):
    monkeypatch.setattr(containers, "engine_answers", lambda: True)
    where = tmp_path / "servers"
    mine = {"DATABASE_URL": "postgresql://me@db/mine"}
    local_servers.start(where, fast=False, environ=mine)
    servers = local_servers.start(where, fast=False, environ={"AMQP_URL": "amqp://me@broker/"})
    assert servers.amqp_url == "amqp://me@broker/"
    assert servers.database_url.startswith("postgresql://onefolio:")
    assert sorted(local_servers.down(where)) == ["PostgreSQL", "RabbitMQ"]


def test_env_prints_what_was_given(tmp_path):
    assert command("up", "--dir", tmp_path, **GIVEN).returncode == 0
    done = command("env", "--dir", tmp_path, **GIVEN)
    assert done.stdout == "export DATABASE_URL=postgresql://u:p@db/x AMQP_URL=amqp://u:p@mq/\n"


def test_passwords_are_not_printed_by_up(tmp_path):
    done = command(
        "up", "--dir", tmp_path, DATABASE_URL="postgresql://u:hidden@db/x", AMQP_URL="amqp://u:hidden@mq/"
    )
    assert "hidden" not in done.stdout + done.stderr
    assert "postgresql://u@db/x" in done.stdout


def test_status_and_env_say_when_nothing_runs(tmp_path):
    assert command("status", "--dir", tmp_path).returncode == 3
    assert command("env", "--dir", tmp_path).returncode == 1
    assert command("down", "--dir", tmp_path).stdout == "nothing was running\n"


def test_records_are_private_and_survive_a_cut_file(tmp_path, capsys):
    records.write(tmp_path, {"postgres": Record("native", "postgresql://u:p@h/d", {"port": 1})})
    assert (tmp_path / "servers.json").stat().st_mode & 0o777 == 0o600
    assert records.read(tmp_path)["postgres"].details == {"port": 1}
    (tmp_path / "servers.json").write_text('{"postgres": {"kind"')
    assert records.read(tmp_path) == {}
    assert "unreadable" in capsys.readouterr().err


def test_a_process_that_took_over_a_pid_is_not_stopped(tmp_path):
    child = processes.spawn(["sleep", "60"], tmp_path / "log", tmp_path, dict(os.environ))
    processes.stop([child.pid, "an earlier birth"], signal.SIGKILL, patience=1)
    assert child.poll() is None
    processes.stop(processes.mark(child.pid), signal.SIGTERM, patience=5)
    assert child.poll() == -signal.SIGTERM


def test_a_process_that_ignores_the_signal_is_killed(tmp_path):
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); open('deaf', 'w'); time.sleep(60)"
    child = processes.spawn([sys.executable, "-c", script], tmp_path / "log", tmp_path, dict(os.environ))
    assert processes.wait_until((tmp_path / "deaf").exists, 10)
    processes.stop(processes.mark(child.pid), signal.SIGTERM, patience=0.2)
    assert child.poll() == -signal.SIGKILL


@pytest.fixture
def bare_machine(monkeypatch):
    for module in lifecycle.NATIVE.values():
        monkeypatch.setattr(module, "binaries", lambda: None)
    monkeypatch.setattr(containers, "engine_answers", lambda: False)
    monkeypatch.setattr(debian, "possible", lambda: False)
    return monkeypatch


def test_a_machine_without_anything_is_told_what_to_do(tmp_path, bare_machine):
    with pytest.raises(ServerError, match="PostgreSQL and RabbitMQ: not installed") as raised:
        local_servers.start(tmp_path, environ={})
    for way in ("apt-get install", "Docker", "DATABASE_URL=", "AMQP_URL="):
        assert way in str(raised.value)


def test_apt_installs_only_what_is_missing_and_starts_nothing(tmp_path, bare_machine):
    calls = []
    policy = tmp_path / "policy-rc.d"
    bare_machine.setattr(debian, "POLICY", policy)
    bare_machine.setattr(debian, "_failure", lambda *arguments: calls.append((arguments, policy.exists())))
    debian.install(["rabbitmq"])
    assert calls == [
        (("update", "-q"), False),
        (("install", "-y", "-q", "--no-install-recommends", "rabbitmq-server"), True),
    ]
    assert not policy.exists()


def test_a_machines_own_start_policy_stays(tmp_path, bare_machine):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    bare_machine.setattr(debian, "POLICY", policy)
    bare_machine.setattr(debian, "_failure", lambda *arguments: "")
    debian.install(["postgres"])
    assert policy.read_text() == "theirs"


@pytest.mark.parametrize(("broken", "ends"), [("update", True), ("install", False)])
def test_a_broken_package_source_stops_nothing_that_can_be_installed(tmp_path, bare_machine, broken, ends):
    script = tmp_path / "apt-get"
    script.write_text(f'#!/bin/sh\ncase "$3" in {broken}) echo broken source >&2; exit 100 ;; esac\n')
    script.chmod(0o755)
    bare_machine.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    bare_machine.setattr(debian, "POLICY", tmp_path / "policy-rc.d")
    with contextlib.nullcontext() if ends else pytest.raises(ServerError, match="broken source"):
        debian.install(["rabbitmq"])
    assert not (tmp_path / "policy-rc.d").exists()


class Broker(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(8)
        self.request.sendall(b"\x01")


@pytest.fixture
def docker(tmp_path, bare_machine):
    """A `docker` command that keeps containers as files; their port belongs to a server that says hello as AMQP."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Broker)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = tmp_path / "docker"
    home.mkdir()
    script = home / "docker"
    script.write_text(f"""#!/bin/sh
echo "$@" >> {home}/calls
case "$1" in
  version) echo 28 ;;
  start) test -e {home}/$2 || exit 1; echo up > {home}/$2.state ;;
  run) shift; while [ $# -gt 0 ]; do case "$1" in
         --name) name=$2; shift ;; -e) echo "$2" >> {home}/env.$$; shift ;; esac; shift; done
       mv {home}/env.$$ {home}/$name; echo up > {home}/$name.state ;;
  port) echo 127.0.0.1:{server.server_address[1]} ;;
  inspect) case "$3" in *Running*) grep -q up {home}/$4.state && echo true || echo false ;; *) cat {home}/$4 ;; esac ;;
  stop) echo down > {home}/$2.state ;;
  rm) rm {home}/$4 {home}/$4.state ;;
  exec) true ;;
esac
""")
    script.chmod(0o755)
    bare_machine.setenv("PATH", f"{home}:{os.environ['PATH']}")
    yield home
    server.shutdown()
    server.server_close()


def test_containers_are_started_reused_and_stopped(tmp_path, docker, monkeypatch):
    monkeypatch.setattr(containers, "engine_answers", lambda: True)
    where = tmp_path / "servers"
    servers = local_servers.start(where, fast=False, environ={})
    assert servers.database_url.startswith("postgresql://onefolio:")
    assert servers.amqp_url.startswith("amqp://onefolio:")
    assert local_servers.start(where, fast=False, environ={}) == servers
    assert sorted(local_servers.down(where)) == ["PostgreSQL", "RabbitMQ"]
    again = local_servers.start(where, fast=False, environ={})
    assert again.database_url == servers.database_url
    calls = (docker / "calls").read_text().splitlines()
    assert sum(call.startswith("run ") for call in calls) == 2


def test_containers_for_tests_are_removed(tmp_path, docker, monkeypatch):
    monkeypatch.setattr(containers, "engine_answers", lambda: True)
    local_servers.start(tmp_path / "servers", fast=True, environ={}).stop()
    assert not list(docker.glob("onefolio-*"))


def test_purging_removes_stopped_containers_too(tmp_path, docker, monkeypatch):
    monkeypatch.setattr(containers, "engine_answers", lambda: True)
    local_servers.start(tmp_path / "servers", fast=False, environ={})
    local_servers.down(tmp_path / "servers")
    assert list(docker.glob("onefolio-*"))
    local_servers.down(tmp_path / "servers", purge=True)
    assert not list(docker.glob("onefolio-*"))


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.timeout(180)
def test_native_servers_come_up_survive_a_crash_and_leave_nothing(tmp_path):
    if any(module.binaries() is None for module in lifecycle.NATIVE.values()):
        pytest.skip("PostgreSQL and RabbitMQ are not installed on this machine")
    first = local_servers.start(tmp_path, environ={})
    try:
        assert local_servers.start(tmp_path, environ={}) == first
        node = first.rabbitmq.details["pids"]["node"]
        os.kill(node[0], signal.SIGKILL)
        assert processes.wait_until(lambda: not local_servers.healthy(first.rabbitmq), 10)
        second = local_servers.start(tmp_path, environ={})
        assert second.amqp_url == first.amqp_url
        assert second.postgres == first.postgres
        assert local_servers.healthy(second.rabbitmq)
        assert "onefolio" in second.rabbitmqctl("list_users")
    finally:
        local_servers.down(tmp_path, purge=True)
    marks = [second.postgres.details["pid"], *second.rabbitmq.details["pids"].values()]
    assert not [mark for mark in marks if processes.alive(mark)]
    assert local_servers.load(tmp_path) is None
