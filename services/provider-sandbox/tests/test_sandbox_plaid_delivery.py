"""Webhook delivery: both retry policies, disorder, the loopback guard, shutdown."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from provider_sandbox.webhook_delivery import WebhookDelivery
from provider_sandbox.webhook_policy import POLICIES, Disorder, FateSource, RetryPolicy, is_loopback

URL = "http://127.0.0.1:9/hook"


class Receiver:
    """Answers with the queued statuses (an exception is raised), then 200."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.headers: list[str] = []
        self.called = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.called.set()
        self.bodies.append(request.content)
        self.headers.append(request.headers.get("x-attempt", ""))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)


def counting() -> Callable[[], dict[str, str]]:
    calls = iter(range(1000))
    return lambda: {"X-Attempt": str(next(calls))}


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., WebhookDelivery]]:
    made: list[WebhookDelivery] = []

    def build(receiver: Any, **options: Any) -> WebhookDelivery:
        delivery = WebhookDelivery(time_scale=0, transport=httpx.MockTransport(receiver), **options)
        made.append(delivery)
        return delivery

    yield build
    for delivery in made:
        await delivery.aclose()


def test_the_schedules_are_the_providers_own() -> None:
    assert POLICIES["plaid"].delays == (30, 120, 480, 1920, 7680, 30720)
    assert POLICIES["plaid"].timeout == 10
    assert POLICIES["snaptrade"].delays == (1800, 3600, 7200)
    assert POLICIES["snaptrade"].accepted == {200, 201, 202, 204}
    assert [POLICIES["snaptrade"].next_delay(n) for n in (1, 2, 3, 4)] == [1800, 3600, 7200, None]


@pytest.mark.parametrize(("provider", "attempts"), [("plaid", 7), ("snaptrade", 4)])
async def test_a_receiver_that_never_accepts_is_tried_to_the_end_of_the_schedule(
    make: Any, provider: str, attempts: int
) -> None:
    receiver = Receiver(*[500] * 20)
    delivery = make(receiver)
    await delivery.send(provider, URL, b"{}", counting())
    await delivery.settle()
    (listed,) = delivery.deliveries()

    assert listed["status"] == "failed"
    assert [a["status"] for a in listed["attempts"]] == [500] * attempts
    assert receiver.headers == [str(n) for n in range(attempts)]


@pytest.mark.parametrize(
    ("provider", "status", "accepted"),
    [
        ("plaid", 200, True),
        ("plaid", 299, True),
        ("plaid", 301, False),
        ("snaptrade", 204, True),
        ("snaptrade", 203, False),
        ("snaptrade", 302, False),
    ],
)
async def test_only_the_documented_statuses_end_the_retries(
    make: Any, provider: str, status: int, accepted: bool
) -> None:
    receiver = Receiver(status)
    delivery = make(receiver)
    await delivery.send(provider, URL, b"{}", counting())
    await delivery.settle()

    assert len(receiver.bodies) == (1 if accepted else 2)
    assert delivery.deliveries()[0]["status"] == "delivered"


async def test_a_refused_connection_and_a_hanging_receiver_are_retried(make: Any) -> None:
    hung = asyncio.Event()
    receiver = Receiver(httpx.ConnectError("refused"))

    async def hangs_once(request: httpx.Request) -> httpx.Response:
        if len(receiver.bodies) == 1 and not hung.is_set():
            hung.set()
            await asyncio.Event().wait()
        return await receiver(request)

    policies = {"plaid": RetryPolicy((1.0,) * 6, frozenset({200}), timeout=0.05)}
    delivery = make(hangs_once, policies=policies)
    await delivery.send("plaid", URL, b"{}", counting())
    await delivery.settle()
    attempts = delivery.deliveries()[0]["attempts"]

    assert [a["status"] for a in attempts] == [None, None, 200]
    assert [a["error"].split(":")[0] for a in attempts[:2]] == ["ConnectError", "TimeoutError"]


async def test_webhooks_to_one_address_arrive_in_the_order_sent(make: Any) -> None:
    receiver = Receiver()
    delivery = make(receiver)
    bodies = [str(n).encode() for n in range(20)]
    for body in bodies:
        await delivery.send("plaid", URL, body, counting())
    await delivery.settle()

    assert receiver.bodies == bodies


async def test_reordering_swaps_neighbours_and_loses_nothing(make: Any) -> None:
    receiver = Receiver()
    delivery = make(receiver)
    delivery.disturb(Disorder(reorder=1.0))
    await delivery.send("plaid", URL, b"first", counting())
    delivery.disturb(Disorder())
    await delivery.send("plaid", URL, b"second", counting())
    await delivery.settle()

    assert receiver.bodies == [b"second", b"first"]


async def test_an_overtaken_webhook_with_no_successor_still_arrives(make: Any) -> None:
    receiver = Receiver()
    delivery = make(receiver)
    delivery.disturb(Disorder(reorder=1.0))
    await delivery.send("plaid", URL, b"only", counting())
    await delivery.settle()

    assert receiver.bodies == [b"only"]


async def test_duplicates_and_drops(make: Any) -> None:
    receiver = Receiver()
    delivery = make(receiver)
    delivery.disturb(Disorder(duplicate=1.0))
    await delivery.send("plaid", URL, b"twice", counting())
    delivery.disturb(Disorder(drop=1.0))
    await delivery.send("plaid", URL, b"never", counting())
    await delivery.settle()

    assert receiver.bodies == [b"twice", b"twice"]
    assert [d["status"] for d in delivery.deliveries()] == ["delivered", "delivered", "dropped"]


def test_one_seed_draws_one_fate() -> None:
    disorder = Disorder(duplicate=0.4, drop=0.2, reorder=0.5, max_delay=9, seed=42)
    drawn = [[FateSource(disorder).draw() for _ in range(1)] for _ in range(3)]
    first, second = FateSource(disorder), FateSource(disorder)

    assert drawn[0] == drawn[1] == drawn[2]
    assert [first.draw() for _ in range(50)] == [second.draw() for _ in range(50)]


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:80/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:8080/", True),
        ("http://127.8.9.1/", True),
        ("https://api.example.test/hook", False),
        ("http://10.0.0.4/", False),
        ("http://127.0.0.1.example.test/", False),
        ("http://localhost@example.test/", False),
        ("nonsense", False),
        ("http://[::1", False),
    ],
)
def test_loopback_addresses_are_told_apart(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


async def test_nothing_but_loopback_and_allowed_hosts_is_contacted(make: Any) -> None:
    receiver = Receiver()
    delivery = make(receiver, allowed_hosts=frozenset({"webhooks"}))
    await delivery.send("plaid", "https://api.example.test/hook", b"{}", counting())
    await delivery.send("plaid", "http://webhooks:8000/hook", b"{}", counting())
    await delivery.settle()

    assert [d["status"] for d in delivery.deliveries()] == ["refused", "delivered"]
    assert len(receiver.bodies) == 1


async def test_an_address_that_cannot_be_used_fails_without_breaking_the_sender(make: Any) -> None:
    async def no_route(request: httpx.Request) -> httpx.Response:
        raise httpx.UnsupportedProtocol("not http")

    guarded, open_ = make(Receiver()), make(no_route, loopback_only=False)
    for delivery in (guarded, open_):
        await delivery.send("plaid", "http://[::1", b"{}", counting())
        await delivery.send("plaid", "gopher://x", b"{}", counting())
        await delivery.settle()

    assert [d["status"] for d in guarded.deliveries()] == ["refused", "refused"]
    assert [d["status"] for d in open_.deliveries()] == ["failed", "failed"]


async def test_a_provider_without_a_policy_is_refused_at_once(make: Any) -> None:
    delivery = make(Receiver())

    with pytest.raises(KeyError):
        await delivery.send("acme", URL, b"{}", counting())
    assert delivery.deliveries() == []


async def test_the_guard_can_be_opened(make: Any) -> None:
    delivery = make(Receiver(), loopback_only=False)
    await delivery.send("plaid", "https://api.example.test/hook", b"{}", counting())
    await delivery.settle()

    assert delivery.deliveries()[0]["status"] == "delivered"


async def test_closing_cancels_what_is_pending() -> None:
    receiver = Receiver(*[500] * 9)
    delivery = WebhookDelivery(time_scale=1, transport=httpx.MockTransport(receiver))
    await delivery.send("plaid", URL, b"{}", counting())
    await receiver.called.wait()
    await delivery.aclose()

    assert delivery.deliveries()[0]["status"] == "cancelled"
    assert len(receiver.bodies) == 1
    assert not [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]


async def test_reset_forgets_deliveries_and_disorder(make: Any) -> None:
    receiver = Receiver()
    delivery = make(receiver)
    delivery.disturb(Disorder(drop=1.0))
    await delivery.send("plaid", URL, b"lost", counting())
    delivery.reset()
    await delivery.send("plaid", URL, b"kept", counting())
    await delivery.settle()

    assert [d["body"] for d in delivery.deliveries()] == ["kept"]
