"""Turns at a gate: who waits, in which order they go, and one question to the limits for all who could go now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from itertools import count

from connector_kit.limit_store import LimitStore, Want
from connector_kit.pacing import LimitKey
from connector_kit.priority import Priority
from contracts.errors import ErrorCode, ProviderError, TransientError
from persistence.database import DatabaseUnavailable
from service_kit.clock import Clock

PATIENCE = {Priority.INTERACTIVE: 15.0, Priority.BACKGROUND: 60.0}
"""Seconds: who would have to wait longer fails at once and is told when to come back."""
DATABASE_AWAY_WAIT = 5.0


@dataclass(eq=False, slots=True)
class Waiter:
    """Somebody who waits for a turn."""

    want: Want
    number: int
    turn: "asyncio.Future[None]"
    not_before: float = field(default=0.0)

    @property
    def order(self) -> tuple[int, int]:
        """Who is waited for by a person first, then who came first."""
        return self.want.priority, self.number


class Turns:
    """Hands out turns; one task asks the store while anybody waits."""

    def __init__(self, provider: str, store: LimitStore, side_by_side: int, clock: Clock) -> None:
        self.store = store
        self._provider = provider
        self._free = side_by_side
        self._clock = clock
        self._closed_until = 0.0
        self._waiting: list[Waiter] = []
        self._numbers = count()
        self._changed = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    @property
    def pause(self) -> float:
        """Seconds until anybody may go at all."""
        return max(0.0, self._closed_until - self._clock.monotonic())

    def close(self, wait: float) -> None:
        """Let nobody go for some time."""
        self._closed_until = max(self._closed_until, self._clock.monotonic() + wait)

    @asynccontextmanager
    async def turn(self, keys: tuple[LimitKey, ...], priority: Priority) -> AsyncIterator[None]:
        """Wait for a turn and keep it until the block ends."""
        waiter = Waiter(Want(keys, priority), next(self._numbers), asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._wake()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        try:
            yield
        finally:
            self._release()

    def _leave(self, waiter: Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
            # The turn came at the very moment its owner went away.
            self._release()

    def _release(self) -> None:
        self._free += 1
        self._changed.set()

    def _wake(self) -> None:
        if self._asking is not None and not self._asking.done():
            self._changed.set()
            return
        self._changed = asyncio.Event()
        # In a context of its own: it asks for everybody, not for who happened to come first.
        self._asking = asyncio.create_task(self._ask_while_waited(), name="limits", context=Context())

    async def _ask_while_waited(self) -> None:
        while self._waiting:
            self._changed.clear()
            self._refuse_the_impatient()
            if batch := self._next():
                await self._ask(batch)
            elif self._waiting:
                await self._until_something_changes()

    def _next(self) -> list[Waiter]:
        """Who could go now, in order."""
        if self.pause > 0:
            return []
        now = self._clock.monotonic()
        ready = sorted((one for one in self._waiting if one.not_before <= now), key=lambda one: one.order)
        return ready[: self._free]

    async def _ask(self, batch: list[Waiter]) -> None:
        limited = [one for one in batch if one.want.keys]
        waits: dict[Waiter, float] = dict.fromkeys(batch, 0.0)
        if limited:
            try:
                answers = await self.store.take([one.want for one in limited])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                self._fail(limited, error)
                return
            waits |= dict(zip(limited, answers, strict=True))
        now = self._clock.monotonic()
        for waiter, wait in waits.items():
            if wait > 0:
                waiter.not_before = now + wait
            else:
                self._go(waiter)

    def _go(self, waiter: Waiter) -> None:
        if waiter.turn.done():
            # Cancelled while the store was asked: its permit is spent, its turn is not.
            return
        self._waiting.remove(waiter)
        self._free -= 1
        waiter.turn.set_result(None)

    def _fail(self, waiters: list[Waiter], error: Exception) -> None:
        for waiter in waiters:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if not waiter.turn.done():
                waiter.turn.set_exception(self._meaning(error))

    def _meaning(self, error: Exception) -> Exception:
        if not isinstance(error, DatabaseUnavailable):
            return error
        away = TransientError(
            "the limits cannot be looked up", code=ErrorCode.UNAVAILABLE, provider=self._provider
        )
        away.__cause__ = error
        return away.waiting(DATABASE_AWAY_WAIT)

    def _refuse_the_impatient(self) -> None:
        now = self._clock.monotonic()
        for waiter in list(self._waiting):
            wait = max(self.pause, waiter.not_before - now)
            if wait > PATIENCE[waiter.want.priority]:
                self._fail([waiter], self._too_long(wait))

    def _too_long(self, wait: float) -> ProviderError:
        return TransientError(
            "the provider's limit asks us to wait", code=ErrorCode.RATE_LIMITED, provider=self._provider
        ).waiting(wait)

    async def _until_something_changes(self) -> None:
        """Until a turn ends, somebody comes, or the first of those who wait may ask again."""
        now = self._clock.monotonic()
        soonest = min(one.not_before for one in self._waiting) - now
        timeout = max(self.pause, soonest, 0.0)
        try:
            async with asyncio.timeout(timeout if self._free or timeout else None):
                await self._changed.wait()
        except TimeoutError:
            return
