"""Real processes, real signals, real sockets."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, os, sys, time
import structlog
from fastapi import Request
from service_kit.health import Health
from service_kit.metrics import Metrics
from service_kit.run import Patience, Service, run
from service_kit.settings import ServiceSettings, load
from service_kit.web import create_app

settings = load(ServiceSettings)
health = Health()
app = create_app("sample", settings, health, Metrics("sample"))
log = structlog.get_logger()
patience = Patience()
options = {}

def step(name, seconds=0.0, error=None):
    async def run_step():
        log.info("step", step=name)
        await asyncio.sleep(seconds)
        if error:
            raise error
        log.info("step.done", step=name)
    run_step.__qualname__ = name
    return run_step

@app.get("/slow")
async def slow():
    log.info("slow.begun")
    await asyncio.sleep(0.5)
    return {"done": True}

@app.get("/hangs")
async def hangs():
    log.info("hangs.begun")
    await asyncio.sleep(25)

async def forever():
    try:
        await asyncio.Event().wait()
    finally:
        log.info("step", step="background cancelled")
"""
RUN = "\nrun(Service('sample', app, health, **options), settings, patience)\n"


class Process:
    """A service in a process of its own, and what it logs."""

    def __init__(self, path: Path, program: str, env: dict[str, str]) -> None:
        path.write_text(program)
        self.process = subprocess.Popen(
            [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        self.lines: list[dict] = []
        self._queue: queue.Queue[dict | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(json.loads(line))
        self._queue.put(None)

    def until(self, event, **fields):
        """Return the first line of this event that is still to come."""
        while True:
            line = self._queue.get(timeout=20)
            assert line is not None, f"ended before {event}: {self.lines}"
            self.lines.append(line)
            if line["event"] == event and fields.items() <= line.items():
                return line

    def url(self):
        return f"http://127.0.0.1:{self.until('http.listening')['port']}"

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self):
        """Wait for the exit and return its status."""
        status = self.process.wait(timeout=40)
        self._reader.join()
        while (line := self._queue.get()) is not None:
            self.lines.append(line)
        return status

    def steps(self):
        return [line["step"] for line in self.lines if line["event"] == "step"]

    def events(self):
        return [line["event"] for line in self.lines]


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(program="", **env):
        base = {"PATH": os.environ["PATH"], "PORT": "0", "SERVICE_AUTH_SECRET": "s" * 40, **env}
        process = Process(tmp_path / f"program{len(running)}.py", PROGRAM + program + RUN, base)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.process.kill()
        process.process.wait()
        process._reader.join()
        process.process.stdout.close()
        process.process.stderr.close()


FULL = """
options = dict(
    on_start=[step("connect"), step("declare")],
    background=[forever],
    on_drain=[step("consumer"), step("relay")],
    on_stop=[step("broker"), step("pool")],
)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_in_order_and_exits_with_0(start, number):
    process = start(FULL)
    url = process.url()
    process.until("service.started")
    assert httpx.get(f"{url}/readyz", trust_env=False).json()["status"] == "ready"
    process.signal(number)
    assert process.end() == 0
    assert process.steps() == [
        "connect", "declare", "consumer", "relay", "background cancelled", "broker", "pool",
    ]  # fmt: skip
    assert process.lines[-1]["event"] == "service.stopped"
    assert process.process.stderr.read() == ""


def test_the_server_does_not_name_itself(start):
    process = start()
    url = process.url()
    process.until("service.started")
    assert "server" not in httpx.get(f"{url}/healthz", trust_env=False).headers


def test_a_request_in_flight_is_answered_and_no_new_connection_taken(start):
    process = start()
    url = process.url()
    process.until("service.started")
    answers = queue.Queue()
    request = threading.Thread(target=lambda: answers.put(httpx.get(f"{url}/slow", trust_env=False)))
    request.start()
    process.until("slow.begun")
    process.signal()
    assert answers.get(timeout=10).json() == {"done": True}
    request.join()
    assert process.end() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)


def test_readiness_says_draining_before_the_server_closes(start):
    process = start("patience = Patience(announce=0.5)\n")
    url = process.url()
    process.until("service.started")
    process.signal()
    process.until("service.stopping")
    answer = httpx.get(f"{url}/readyz", trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert process.end() == 0


def test_health_answers_while_starting_and_requests_are_turned_away(start):
    process = start("options = dict(on_start=[step('connect', 1.0)])\n")
    url = process.url()
    process.until("step")
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    assert httpx.get(f"{url}/readyz", trust_env=False).json()["status"] == "starting"
    assert httpx.get(f"{url}/slow", trust_env=False).json()["error"]["code"] == "STARTING"
    process.until("service.started")
    assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    process.signal()
    assert process.end() == 0


def test_a_signal_while_starting_ends_the_start(start):
    process = start("options = dict(on_start=[step('connect', 60)], on_stop=[step('pool')])\n")
    process.until("step")
    process.signal()
    assert process.end() == 0
    assert process.steps() == ["connect", "pool"]


def test_a_failing_start_exits_with_1_and_says_why(start):
    process = start("options = dict(on_start=[step('connect', 0, ValueError('userSecret=canary-1'))])\n")
    assert process.end() == 1
    line = next(line for line in process.lines if line["event"] == "service.start_failed")
    assert "ValueError" in line["exception"]
    assert "canary-1" not in json.dumps(process.lines)
    assert "service.started" not in process.events()


def test_a_taken_port_exits_with_1_and_says_why(start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = start(PORT=str(listener.getsockname()[1]))
        assert process.end() == 1
    line = next(line for line in process.lines if line["event"] == "service.start_failed")
    assert "OSError" in line["exception"]


def test_a_background_task_that_crashes_ends_the_process_loudly(start):
    process = start(
        "options = dict(background=[forever, step('relay', 0.1, ValueError('boom'))], on_stop=[step('pool')])\n"
    )
    assert process.end() == 1
    line = next(line for line in process.lines if line["event"] == "background.failed")
    assert (line["task"], line["level"]) == ("relay", "error")
    assert "boom" in line["exception"]
    assert process.steps() == ["relay", "background cancelled", "pool"]


def test_a_background_task_that_finishes_leaves_the_process_running(start):
    process = start("options = dict(background=[step('once')])\n")
    url = process.url()
    process.until("step.done")
    assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    process.signal()
    assert process.end() == 0


def test_a_failing_closing_step_does_not_rob_the_next_and_exits_with_1(start):
    process = start(
        "options = dict(on_drain=[step('consumer', 0, ValueError('x')), step('relay')], on_stop=[step('pool')])\n"
    )
    process.until("service.started")
    process.signal()
    assert process.end() == 1
    assert process.steps() == ["consumer", "relay", "pool"]


def test_work_that_does_not_finish_in_time_is_left_and_the_rest_still_closes(start):
    process = start(
        "patience = Patience(drain=0.3)\n"
        "options = dict(on_drain=[step('consumer', 60)], on_stop=[step('pool')])\n"
    )
    process.until("service.started")
    process.signal()
    assert process.end() == 0
    assert "service.step_cut_short" in process.events()
    assert process.steps() == ["consumer", "pool"]


def test_a_request_that_hangs_does_not_take_the_consumers_time(start):
    process = start(
        "patience = Patience(drain=0.6)\noptions = dict(on_drain=[step('consumer', 0.1)], on_stop=[step('pool')])\n"
    )
    port = int(process.url().rpartition(":")[2])
    process.until("service.started")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n")
        process.until("hangs.begun")
        process.signal()
        assert process.end() == 0
    assert {"step": "consumer"}.items() <= next(x for x in process.lines if x["event"] == "step.done").items()


def test_the_second_signal_ends_the_process_at_once(start):
    process = start("options = dict(on_drain=[step('consumer', 60)])\n")
    process.until("service.started")
    process.signal()
    process.until("step", step="consumer")
    process.signal()
    assert process.end() == 1
    assert "service.killed" in process.events()


def test_a_process_stuck_while_leaving_is_ended(start):
    process = start(
        "async def stuck():\n    log.info('stuck')\n    time.sleep(60)\n"
        "patience = Patience(hard=0.5)\noptions = dict(on_stop=[stuck])\n"
    )
    process.until("service.started")
    process.signal()
    assert process.end() == 1  # long before the 60 seconds it is stuck for


def test_a_service_without_an_app_runs_and_stops(start):
    process = start("app = None\noptions = dict(background=[forever])\n")
    process.until("service.started")
    process.signal()
    assert process.end() == 0
    assert "http.listening" not in process.events()


def test_a_missing_setting_stops_the_process_with_a_clear_message(start):
    process = start(SERVICE_AUTH_SECRET="")
    assert process.end() == 78
    assert "SERVICE_AUTH_SECRET: is missing" in process.process.stderr.read()


def test_a_chunked_body_of_10_mb_is_refused_over_a_real_connection(start):
    process = start(
        "@app.post('/raw')\nasync def raw(request: Request):\n    return len(await request.body())\n"
    )
    url = process.url()
    process.until("service.started")

    def chunks():
        for _ in range(160):
            yield b"x" * 65536

    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        connection.sendall(b"POST /raw HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = b""
        try:
            for chunk in chunks():
                connection.sendall(b"10000\r\n" + chunk + b"\r\n")
        except OSError:
            answer = b""
        connection.settimeout(10)
        try:
            answer = connection.recv(4096)
        except ConnectionResetError:
            answer = b"reset"
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 413 ")
    refused = process.until("http.request", status=413)
    assert refused["route"] == "/raw"
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    assert int(status.split("VmRSS:")[1].split()[0]) < 200_000
