"""Rounds: a question that several connections have in common is asked once."""

import asyncio

import pytest

from connector_kit import calls


class Provider:
    def __init__(self) -> None:
        self.asked = 0
        self.fail = 0

    async def answer(self) -> int:
        calls.count()
        self.asked += 1
        number = self.asked
        await asyncio.sleep(0)
        if self.fail >= number:
            raise ValueError("on purpose")
        return number


async def test_outside_of_a_round_every_question_is_asked():
    provider = Provider()
    assert [await calls.shared("k", provider.answer) for _ in range(2)] == [1, 2]


async def test_in_a_round_each_question_is_asked_once_and_counts_for_the_first():
    provider = Provider()

    async def run() -> tuple[int, int]:
        with calls.counting() as counter:
            return await calls.shared("k", provider.answer), counter.made

    with calls.sharing():
        assert await asyncio.gather(*(run() for _ in range(3))) == [(1, 1), (1, 0), (1, 0)]
        assert await calls.shared("other", provider.answer) == 2
    with calls.sharing():
        assert await calls.shared("k", provider.answer) == 3


async def test_an_error_reaches_all_who_wait_and_is_asked_again_by_the_next():
    provider = Provider()
    provider.fail = 1
    with calls.sharing():
        waiting = [calls.shared("k", provider.answer) for _ in range(2)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in results] == [ValueError, ValueError]
        assert await calls.shared("k", provider.answer) == 2


async def test_the_answer_comes_though_the_first_to_ask_went_away():
    provider, going = Provider(), asyncio.Event()

    async def slow() -> int:
        await going.wait()
        return await provider.answer()

    with calls.sharing():
        first = asyncio.create_task(calls.shared("k", slow))
        second = asyncio.create_task(calls.shared("k", slow))
        await asyncio.sleep(0)
        first.cancel()
        going.set()
        assert await second == 1
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_what_is_still_asked_when_a_round_ends_is_given_up():
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with calls.sharing():
        task = asyncio.create_task(calls.shared("k", endless))
        await asyncio.sleep(0.01)
    await asyncio.wait({task})
    assert task.cancelled()
    assert ended.is_set()
