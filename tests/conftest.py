"""One whole stack for the end-to-end tests: private servers, every service as its own process, the sandbox."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from local_demo.client import Frontend, development_token
from local_stack import Stack
from local_stack.guard import guarded


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, started once a module: what one breaks on purpose must not steer the links of another."""
    folder = tmp_path_factory.mktemp("stack")
    running = Stack(folder, {"SANDBOX_SNAPTRADE_RATE_LIMIT": "100000"}, sandbox=True, say=lambda _: None)
    with guarded(folder):
        running.up(fast=True)
        yield running


@pytest.fixture
def token(stack: Stack) -> Callable[[str], str]:
    """Mints a development token for a user."""
    return lambda user: development_token(stack.state.secrets["jwt"], user)


@pytest.fixture
def as_user(stack: Stack, token: Callable[[str], str]) -> Iterator[Callable[[str], Frontend]]:
    """Makes a frontend of a user."""
    made: list[Frontend] = []

    def make(user: str) -> Frontend:
        made.append(Frontend(stack.state.url("gateway"), token(user)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def frontend(as_user: Callable[[str], Frontend]) -> Frontend:
    """A frontend of a user nobody has seen before."""
    return as_user(f"person-{uuid.uuid4().hex}")


@pytest.fixture
def control(stack: Stack) -> Iterator[httpx.Client]:
    """The sandbox's control API."""
    with httpx.Client(base_url=stack.state.url("sandbox-control"), trust_env=False) as client:
        yield client


@pytest.fixture
def logs(stack: Stack) -> Path:
    """Where the processes write."""
    return stack.runner.logs
