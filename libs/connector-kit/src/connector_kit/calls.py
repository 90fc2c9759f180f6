"""Counting provider calls: every request of a sync run is counted, whoever made it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Calls:
    """How many provider calls a piece of work has made so far."""

    def __init__(self) -> None:
        self.made = 0


_current: ContextVar[Calls | None] = ContextVar("provider_calls", default=None)


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
