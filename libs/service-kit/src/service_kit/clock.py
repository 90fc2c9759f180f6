"""Clocks: time is passed in, so that tests own it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where a process reads time."""

    def now(self) -> datetime:
        """Return the wall clock, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""
        return time.monotonic()


class FakeClock:
    """A clock that moves only when told.

    Raises:
        ValueError: the start is naive, or time is advanced by less than nothing.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware time")
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return the wall clock, aware and in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""
        return self._monotonic

    def advance(self, by: timedelta | float) -> None:
        """Move both clocks forward, by a timedelta or by seconds."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            raise ValueError("time is advanced forwards; jump() moves the wall clock back")
        self._now += step
        self._monotonic += step.total_seconds()

    def jump(self, by: timedelta) -> None:
        """Move the wall clock alone, forwards or back, as a corrected host clock does."""
        self._now += by
