"""The gate before a provider: side by side, pauses, counting."""

import asyncio

import httpx
import pytest

from connector_kit import calls
from connector_kit.limits import Gate, seconds
from contracts.errors import TransientError
from service_kit.clock import FakeClock


async def test_no_more_calls_than_allowed_run_side_by_side():
    gate, running, most = Gate("fake", side_by_side=3), 0, 0

    async def call() -> None:
        nonlocal running, most
        async with gate.passing():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(call() for _ in range(20)))
    assert most == 3


async def test_a_long_pause_fails_at_once_and_says_when_to_come_back():
    clock = FakeClock()
    gate = Gate("fake", clock=clock)
    await gate.learn(429, {"Retry-After": "300"})
    with pytest.raises(TransientError) as refused:
        async with gate.passing():
            pass
    assert refused.value.wait == 300
    clock.advance(301)
    async with gate.passing():
        pass


async def test_a_short_pause_is_sat_out():
    gate = Gate("fake")
    await gate.learn(429, {"Retry-After": "0.02"})
    async with gate.passing():
        assert gate.pause == 0


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (200, {}, 0),
        (200, {"X-RateLimit-Remaining": "200", "X-RateLimit-Limit": "250", "X-RateLimit-Reset": "30"}, 0),
        (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "250", "X-RateLimit-Reset": "30"}, 30),
        (200, {"X-RateLimit-Remaining": "9", "X-RateLimit-Limit": "250", "X-RateLimit-Reset": "30"}, 3),
        (429, {}, 1),
        (429, {"Retry-After": "soon"}, 1),
        (429, {"X-RateLimit-Reset": "12"}, 12),
    ],
)
async def test_pauses_are_learnt_from_answers(status, headers, pause):
    gate = Gate("fake", clock=FakeClock())
    await gate.learn(status, httpx.Headers(headers))
    assert gate.pause == pause


@pytest.mark.parametrize("text", [None, "", "-1", "nan", "inf", "\uff11\uff12", "x"])
def test_what_is_no_number_of_seconds(text):
    assert seconds(text) is None


async def test_requests_through_the_transport_are_counted_and_learnt_from():
    gate = Gate("fake", clock=FakeClock())
    answers = httpx.MockTransport(lambda request: httpx.Response(429, headers={"retry-after": "7"}))
    with calls.counting() as counter:
        async with httpx.AsyncClient(transport=gate.transport(answers), base_url="http://fake") as client:
            await client.get("/")
    assert counter.made == 1
    assert gate.pause == 7


async def test_runs_side_by_side_count_their_own_calls():
    async def work(number: int) -> int:
        with calls.counting() as counter:
            for _ in range(number):
                await asyncio.gather(asyncio.create_task(call()))
            return counter.made

    async def call() -> None:
        calls.count()

    assert await asyncio.gather(*(work(n) for n in (1, 5, 3))) == [1, 5, 3]


def test_a_call_outside_of_any_run_counts_for_nobody():
    calls.count()
