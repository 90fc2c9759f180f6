"""How calls are spread so that no rolling window ever holds more than a limit allows. Pure; times in microseconds.

The generic cell rate algorithm: each key has one number, the theoretical arrival time (TAT) of the next call if calls
came evenly. A call may come early by a tolerance, which is what allows a burst. In any window of ``per`` seconds at
most ``burst + rate`` calls are granted; with 15 % and 80 % of the limit there is room left for calls that are slow to
arrive.
"""

from dataclasses import dataclass
from math import ceil, floor

from connector_kit.priority import Priority

MICROSECONDS = 1_000_000
BURST = 0.15
RATE = 0.80


@dataclass(frozen=True, slots=True)
class LimitKey:
    """A limit of the provider's, and what it counts: at most ``limit`` calls in any ``per`` seconds under ``name``.

    Replicas share it by its name, so that must say whose limit it is (``item:<digest>/holdings/get``) and hold no
    secret.

    Raises:
        ValueError: the limit allows nothing.
    """

    name: str
    limit: int
    per: float = 60.0

    def __post_init__(self) -> None:
        if self.limit < 1 or self.per <= 0 or not self.name:
            raise ValueError("a limit needs a name and allows at least one call in some time")


@dataclass(frozen=True, slots=True)
class Pace:
    """Microseconds between calls, and how early a call may come."""

    interval: int
    tolerance: int


def pace(key: LimitKey, priority: Priority) -> Pace:
    """How calls under a key are spread; what nobody waits for leaves half of the burst to others."""
    interval = ceil(key.per * MICROSECONDS / (RATE * key.limit))
    burst = max(1, floor(BURST * key.limit))
    early = burst if priority is Priority.INTERACTIVE else max(1, burst // 2)
    return Pace(interval, (early - 1) * interval)


def sane(tat: int, now: int, key: LimitKey) -> int:
    """A TAT no later than calls can have made it: a clock that was set back must not close a key for long."""
    most = pace(key, Priority.INTERACTIVE)
    return min(tat, now + most.tolerance + most.interval)


def wait(tat: int, now: int, at: Pace) -> int:
    """Microseconds until a call may go; 0 when it may."""
    return max(0, tat - at.tolerance - now)


def granted(tat: int, now: int, at: Pace) -> int:
    """The TAT once a call has been granted."""
    return max(tat, now) + at.interval
