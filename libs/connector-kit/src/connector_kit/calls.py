"""Provider calls: every one of a sync run is counted, whoever made it, and a round asks no question twice."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Calls:
    """How many provider calls a piece of work has made so far."""

    def __init__(self) -> None:
        self.made = 0


_current: ContextVar[Calls | None] = ContextVar("provider_calls", default=None)
_round: ContextVar["dict[Hashable, asyncio.Future[Any]] | None"] = ContextVar("round", default=None)


def count() -> None:
    """Count one provider call; the ``Gate`` does it, so adapters that use one need not."""
    calls = _current.get()
    if calls is not None:
        calls.made += 1


@contextmanager
def counting() -> Iterator[Calls]:
    """Count the calls made inside, also by tasks started inside.

    A context variable carries the counter: tasks inherit it, and runs side by side do not mix.
    """
    calls = Calls()
    token = _current.set(calls)
    try:
        yield calls
    finally:
        _current.reset(token)


@contextmanager
def sharing() -> Iterator[None]:
    """Make everything inside one round: ``shared`` asks each question once in it. A round within a round is its own."""
    answers: dict[Hashable, asyncio.Future[Any]] = {}
    token = _round.set(answers)
    try:
        yield
    finally:
        _round.reset(token)
        for unfinished in answers.values():
            unfinished.cancel()


async def shared(key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
    """The answer to a question that several connections of a user have in common.

    Inside a round the first to ask fetches, everybody else takes that answer, also while it is on its way; the calls
    count for the first. An error goes to all who wait for it and is not kept: who asks next, asks again. Outside of a
    round it simply fetches. The answer is shared, so nobody may change it.
    """
    answers = _round.get()
    if answers is None:
        return await fetch()
    known = answers.get(key)
    if known is None or _in_vain(known):
        # A task of its own: should the first to ask be cancelled, the others still get their answer.
        known = answers[key] = asyncio.ensure_future(fetch())
    return cast(T, await asyncio.shield(known))


def _in_vain(answer: "asyncio.Future[Any]") -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)
