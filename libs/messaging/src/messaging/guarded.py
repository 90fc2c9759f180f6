"""One call of a handler: bounded in time, and whatever it raises becomes an outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from messaging.policy import Classify, Outcome, outcome_of

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failure:
    """A handler that raised: what its message deserves, and what it raised."""

    outcome: Outcome
    error: BaseException


async def guarded(
    call: Callable[[], Awaitable[R]], deadline: float, classify: Classify | None
) -> R | Failure:
    """The handler's answer, or a failure.

    Only a cancellation of our own task passes: one that a handler's library invents is an error like any other.
    """
    try:
        async with asyncio.timeout(deadline):
            return await call()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Failure(outcome_of(error, classify), error)
    except Exception as error:  # noqa: BLE001 - the policy decides about every kind
        return Failure(outcome_of(error, classify), error)
