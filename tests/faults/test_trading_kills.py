"""A gateway or a connector is killed while an order is at the broker: it is placed once, and it is found."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from local_demo.client import Frontend
from local_demo.pages import sign_in
from local_stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

AT_THE_BROKER = 4.0
"""Seconds for which the broker has the order and has not answered."""
LOOK_NOW = """UPDATE gateway.order_intents SET next_look_at = clock_timestamp()
    WHERE user_id = %s AND state IN ('SUBMITTING', 'UNKNOWN')"""


@pytest.fixture
def user() -> str:
    return f"killed-{uuid.uuid4().hex}"


@pytest.fixture
def browser(stack: Stack, user: str, token: Callable[[str], str]) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token(user)}"}
    with httpx.Client(
        base_url=stack.state.url("gateway"), headers=headers, timeout=30, trust_env=False
    ) as client:
        yield client


def placed(browser: httpx.Client, preview_id: str, key: str) -> httpx.Response:
    """Place as an app does: again with the same key until somebody answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = browser.post(
                "/v1/trading/place", json={"preview_id": preview_id}, headers={"Idempotency-Key": key}
            )
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code != 503:
            return answer
        assert time.monotonic() < deadline, "the gateway does not come back"
        time.sleep(0.2)


def later(stack: Stack, user: str) -> None:
    """Let the time pass after which an order that nobody answers for is looked at."""
    gateway = next(one for one in stack.programs if one.name == "gateway")
    with psycopg.connect(gateway.environment["DATABASE_URL"]) as conn:
        conn.execute("SELECT set_config('app.user_id', %s, true)", (user,))
        conn.execute(LOOK_NOW, (user,))


@pytest.mark.parametrize("service", ["gateway", "snaptrade-connector"])
def test_a_service_killed_while_the_broker_has_the_order_places_it_once(
    stack: Stack,
    as_user: Callable[[str], Frontend],
    user: str,
    browser: httpx.Client,
    control: httpx.Client,
    service: str,
) -> None:
    frontend = as_user(user)
    frontend.link("charles-schwab", sign_in)
    account = frontend.wait(lambda: frontend.get("/v1/accounts")["items"], bool, "the account")[0]["id"]
    frontend.wait(lambda: frontend.get(f"/v1/accounts/{account}/positions")["items"], bool, "its holdings")
    order = {"account_id": account, "symbol": "AAPL", "side": "BUY", "order_type": "MARKET", "quantity": "3"}
    preview = frontend.post("/v1/trading/impact", order)["preview_id"]
    rule = {"kind": "accept_then_wait", "seconds": AT_THE_BROKER}
    control.post("/_control/trading/chaos", json=rule)

    def ledger() -> list[dict[str, Any]]:
        return list(control.get("/_control/placements", params={"user": user}).json()["placements"])

    answers: list[httpx.Response] = []
    key = str(uuid.uuid4())
    tabs = [threading.Thread(target=lambda: answers.append(placed(browser, preview, key))) for _ in range(2)]
    for tab in tabs:
        tab.start()
    frontend.wait(lambda: any(row["accepted"] for row in ledger()), bool, "the broker to have the order")
    os.kill(int(stack.runner.states()[service]["pid"]), signal.SIGKILL)
    for tab in tabs:
        tab.join()
    assert {answer.status_code for answer in answers} <= {201, 202, 409}
    orders = frontend.wait(
        lambda: (later(stack, user), frontend.get("/v1/trading/orders")["items"])[1],
        lambda rows: rows[0]["state"] in {"ACCEPTED", "FILLED"},
        "the order to be found",
        seconds=90,
    )
    [row] = ledger()
    assert [one["broker_order_ids"] for one in orders] == [[row["broker_order_id"]]]
    again = placed(browser, preview, key)
    assert again.status_code in {201, 202}
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(ledger()) == 1
