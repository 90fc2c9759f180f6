"""Who goes first: what a person is waiting for, before what nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum


class Priority(IntEnum):
    """How urgent provider calls are; the lower goes first."""

    INTERACTIVE = 0
    BACKGROUND = 1


_current: ContextVar[Priority] = ContextVar("priority", default=Priority.BACKGROUND)


def current() -> Priority:
    """How urgent the work at hand is; tasks inherit it from who began them."""
    return _current.get()


@contextmanager
def working(priority: Priority) -> Iterator[None]:
    """Do everything inside with that priority."""
    token = _current.set(priority)
    try:
        yield
    finally:
        _current.reset(token)
