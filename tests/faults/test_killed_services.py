"""Any process may be killed at any moment; started again, it ends in the same portfolio."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from local_demo.client import DemoError, Frontend
from local_demo.pages import sign_in
from local_demo.portfolio import differences
from local_stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SERVICES = [
    "gateway",
    "webhooks",
    "consolidator",
    "snaptrade-connector",
    "plaid-connector",
    "provider-sandbox",
]
# Providers are named: a provider that is killed again and again is unhealthy, and routing would rightly leave it.
LINKS = (
    ("charles-schwab", "snaptrade"),
    ("fidelity", "snaptrade"),
    ("chase", "plaid"),
    ("fidelity", "plaid"),
)
# A provider that was killed again and again is left alone for a while.
PATIENCE = 100.0


def kill(stack: Stack, service: str) -> int:
    """Kill a process without a word; the runner starts it again."""
    pid = int(stack.runner.states()[service]["pid"])
    if pid:
        os.kill(pid, signal.SIGKILL)
    return pid


def back(stack: Stack, service: str, old: int) -> bool:
    row = stack.runner.states()[service]
    return row["statename"] == "RUNNING" and row["pid"] != old


@contextmanager
def killing(stack: Stack, service: str, seed: int) -> Iterator[list[int]]:
    """Kill one service again and again at random moments while the block runs; yields the pids killed."""
    rng, done, killed = random.Random(seed), threading.Event(), []

    def reap() -> None:
        while not done.wait(rng.uniform(0.3, 1.2)):
            row = stack.runner.states()[service]
            if row["statename"] == "RUNNING":
                killed.append(kill(stack, service))

    thread = threading.Thread(target=reap)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def link(frontend: Frontend, institution: str, provider: str) -> None:
    """Link as a patient user would: when the flow broke off, see whether it worked, else begin again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            frontend.link(institution, sign_in, provider=provider)
        except (DemoError, RuntimeError, httpx.TransportError):
            time.sleep(0.5)
        if linked(frontend, institution, provider):
            return
    raise AssertionError(f"{institution} could not be linked")


def linked(frontend: Frontend, institution: str, provider: str) -> bool:
    """Whether the connection is there: a session whose end nobody told of brings it all the same."""
    try:
        found = frontend.get("/v1/connections")["items"]
    except DemoError:
        return False
    return any((one["institution"], one["provider"]) == (institution, provider) for one in found)


def settles(frontend: Frontend) -> None:
    frontend.wait(
        lambda: frontend.get("/v1/positions"),
        lambda page: not differences(page["items"]),
        "the expected portfolio",
        seconds=90,
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_killed_again_and_again_while_linking_ends_in_the_same_portfolio(
    stack: Stack, frontend: Frontend, service: str
) -> None:
    with killing(stack, service, seed=SERVICES.index(service)) as killed:
        for institution, provider in LINKS:
            link(frontend, institution, provider)
        frontend.wait(lambda: len(killed), lambda count: count >= 1, "at least one kill", seconds=10)
    frontend.wait(lambda: back(stack, service, killed[-1]), bool, f"{service} to be back")
    settles(frontend)


def test_three_consolidators_share_one_queue_and_agree(
    stack: Stack, as_user: Callable[[str], Frontend], tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = next(one for one in stack.programs if one.name == "consolidator")
    log = tmp_path_factory.mktemp("replicas") / "log"
    with log.open("wb") as out:
        replicas = [
            subprocess.Popen(
                [sys.executable, "-m", program.module],
                env={**os.environ, **program.environment, "PORT": "0"},
                stdout=out,
                stderr=out,
            )
            for _ in range(2)
        ]
    try:
        frontends = [as_user(f"many-{uuid.uuid4().hex}") for _ in range(4)]
        for institution, provider in LINKS:
            for frontend in frontends:
                frontend.link(institution, sign_in, provider=provider)
        for frontend in frontends:
            settles(frontend)
        assert all(replica.poll() is None for replica in replicas), log.read_text()
    finally:
        for replica in replicas:
            replica.terminate()
        codes = [replica.wait(25) for replica in replicas]
    assert codes == [0, 0], log.read_text()
