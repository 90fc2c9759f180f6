"""The retry policy: what becomes of a message after its handler. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from contracts.envelope import BadMessageError
from messaging.topology import Tier

UNKNOWN_RETRIES = 5
TRANSIENT_RETRIES = 30


class PermanentError(Exception):
    """The message can never be handled; it is parked at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TransientError(Exception):
    """Not now: something the message needs is away. `wait` is in seconds, where it is known how long."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Done:
    """Handled; or it was a duplicate and there was nothing to do."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `wait` seconds, or after the next tier's delay; `limit` retries, then it is parked."""

    reason: str
    wait: float | None = None
    limit: int = TRANSIENT_RETRIES
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Park:
    """Set aside for a person."""

    reason: str
    error: BaseException | None = None


Outcome = Done | Retry | Park
DONE = Done()
Classify = Callable[[BaseException], Outcome | None]


@dataclass(frozen=True, slots=True)
class Ack:
    """Settle it."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Move it to a retry tier."""

    tier: Tier
    reason: str


Decision = Ack | Delay | Park


def outcome_of(error: BaseException, classify: Classify | None = None) -> Outcome:
    """What an exception of a handler means; `classify` is asked first and may know errors this module does not."""
    known = classify(error) if classify else None
    if known is not None:
        return known
    match error:
        case PermanentError():
            return Park(error.reason, error)
        case TransientError():
            return Retry(error.reason, error.wait, error=error)
        case BadMessageError():
            return Park(f"{type(error).__name__}: {error}", error)
        case TimeoutError():
            return Retry("the handler took too long", limit=UNKNOWN_RETRIES, error=error)
        case _:
            return Retry(f"{type(error).__name__}: {error}", limit=UNKNOWN_RETRIES, error=error)


def decide(outcome: Outcome, attempt: int, tiers: tuple[Tier, ...]) -> Decision:
    """What to do with a message after its `attempt`-th delivery (1 is the first).

    Delays grow tier by tier; a known wait takes the first tier that is long enough. After the last retry it parks.
    """
    match outcome:
        case Done():
            return Ack()
        case Park():
            return outcome
        case Retry():
            if attempt > outcome.limit or not tiers:
                return Park(f"gave up after {attempt} attempts: {outcome.reason}", outcome.error)
            return Delay(_tier(tiers, attempt, outcome.wait), outcome.reason)
        case _:
            assert_never(outcome)


def _tier(tiers: tuple[Tier, ...], attempt: int, wait: float | None) -> Tier:
    if wait is not None:
        return next((tier for tier in tiers if tier.milliseconds >= wait * 1000), tiers[-1])
    return tiers[min(attempt, len(tiers)) - 1]
