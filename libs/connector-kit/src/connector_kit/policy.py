"""What an error means for a connection, and when to look again. Pure: chance and time are passed in."""

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from contracts.errors import (
    ErrorCode,
    GoneError,
    OutcomeUnknownError,
    ProviderError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from contracts.statuses import ConnectionStatus

READ_ATTEMPTS = 4
READ_BACKOFF = 0.5
READ_BACKOFF_MAX = 20.0
READ_PATIENCE = 30.0
"""A read that the provider asks to wait longer for is left to the next run."""
RETRY_AFTER = 60.0
RETRY_AFTER_MAX = 6 * 3600.0
FIRST_DATA_AFTER = 15.0
PAUSE_AFTER_REFUSALS = 3
PAUSE_AFTER_FAILURES = 50
RECHECK_STANDSTILL = timedelta(hours=24)
"""How often a broken connection is asked whether it works again, in case the webhook that said so was lost."""
SPREAD = 0.1

OPERATORS_CODES = frozenset({ErrorCode.PROVIDER_CREDENTIALS_INVALID, ErrorCode.SIGNATURE_INVALID})
"""Errors of our installation, not of one connection."""


@dataclass(frozen=True, slots=True)
class Next:
    """What follows a sync run.

    Attributes:
        wait: from now to the next run; None when no run shall come by itself.
        status: the state the connection moved to because of an error; None to leave it.
        paused: why nothing happens until an operator acts; None otherwise.
        failures: runs failed in a row, counting this one.
    """

    wait: timedelta | None
    status: ConnectionStatus | None = None
    paused: str | None = None
    failures: int = 0


def after_success(status: ConnectionStatus, frequency: timedelta, chance: float) -> Next:
    """What follows a run that read everything; ``chance`` in [0, 1) spreads the runs.

    A connection the user must repair is only asked once a day how it stands.
    """
    if status in {ConnectionStatus.REVOKED, ConnectionStatus.REMOVED}:
        return Next(wait=None)
    if status in {ConnectionStatus.BROKEN, ConnectionStatus.STALE_CACHE}:
        return Next(wait=spread(RECHECK_STANDSTILL, chance))
    return Next(wait=spread(frequency, chance))


def after_failure(error: ProviderError, failures: int, frequency: timedelta, chance: float) -> Next:
    """What follows a run that failed; ``failures`` counts the failed runs in a row before this one."""
    failures += 1
    match error:
        case RepairNeededError():
            return Next(spread(RECHECK_STANDSTILL, chance), status=ConnectionStatus.BROKEN, failures=failures)
        case GoneError():
            return Next(None, status=ConnectionStatus.REVOKED, failures=failures)
        case TransientError():
            wait = _later(error, failures, chance)
            return Next(wait, paused=_paused(error, failures, PAUSE_AFTER_FAILURES), failures=failures)
        case RefusedError() | OutcomeUnknownError() | ProviderError():
            limit = PAUSE_AFTER_FAILURES if error.code in OPERATORS_CODES else PAUSE_AFTER_REFUSALS
            wait = min(frequency, timedelta(seconds=RETRY_AFTER_MAX))
            return Next(spread(wait, chance), paused=_paused(error, failures, limit), failures=failures)
        case _:
            assert_never(error)


def read_again_in(error: ProviderError, attempt: int, chance: float) -> float | None:
    """Seconds until a safe read may be tried again inside a run, or None to give up.

    Full jitter: any moment up to a bound that doubles (AWS' measurements show it spreads a herd best).
    ``attempt`` is 1 after the first failure. Only transient errors are worth it.
    """
    if not isinstance(error, TransientError) or attempt >= READ_ATTEMPTS:
        return None
    if error.code is ErrorCode.DATA_NOT_READY:
        return None
    if error.wait is not None and error.wait > READ_PATIENCE:
        return None
    bound = min(READ_BACKOFF_MAX, READ_BACKOFF * float(2 ** (attempt - 1)))
    return (error.wait or 0.0) + bound * chance


def spread(wait: timedelta, chance: float) -> timedelta:
    """The wait, up to a tenth shorter or longer, so that what began together does not stay together."""
    return wait * (1 + SPREAD * (2 * chance - 1))


def _later(error: TransientError, failures: int, chance: float) -> timedelta:
    first = FIRST_DATA_AFTER if error.code is ErrorCode.DATA_NOT_READY else RETRY_AFTER
    backoff = min(RETRY_AFTER_MAX, first * float(2 ** min(failures - 1, 16)))
    # At least half of it: a run is costly, so "at once" is no fair draw.
    asked = min(error.wait or 0.0, RETRY_AFTER_MAX)
    return timedelta(seconds=max(asked, backoff / 2) + backoff / 2 * chance)


def _paused(error: ProviderError, failures: int, limit: int) -> str | None:
    return error.code if failures >= limit else None
