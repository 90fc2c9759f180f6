"""How a sync run ended, in the words of events and of the policy. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from connector_kit.connections import Connection
from connector_kit.policy import Next, after_failure, after_success
from connector_kit.snapshots import Origin
from contracts.errors import ErrorCode, ProviderError, TransientError
from contracts.linking import ConnectionState
from contracts.messages import ConnectionStatusChanged, SyncFinished
from contracts.money import Money
from contracts.statuses import CONNECTION_MOVES, ConnectionStatus, SyncStatus, may_move

KIND = "holdings"
FREE = Money(amount=Decimal(0), currency="USD")
_STANDSTILL_CODE = {
    ConnectionStatus.BROKEN: ErrorCode.CONNECTION_BROKEN,
    ConnectionStatus.REVOKED: ErrorCode.CONNECTION_GONE,
    ConnectionStatus.REMOVED: ErrorCode.CONNECTION_GONE,
}


@dataclass(slots=True)
class Outcome:
    """What a run has so far.

    Attributes:
        state: how the connection stands; None until the provider said.
        accounts: how many there are; None until they were listed.
        accounts_read: how many of them were published.
        unread: how many the adapter never handed over.
        incomplete: how many were published with a gap.
        holdings: rows published.
        calls: provider calls made.
        error: what decides about the next run.
        problem: what is only reported.
    """

    state: ConnectionState | None = None
    accounts: int | None = None
    accounts_read: int = 0
    unread: int = 0
    incomplete: int = 0
    holdings: int = 0
    calls: int = 0
    error: ProviderError | None = None
    problem: ProviderError | None = None

    @property
    def status(self) -> SyncStatus:
        """Failed when nothing was read; partial when anything is missing."""
        if self.accounts is None:
            return SyncStatus.FAILED
        whole = self.unread == 0 and self.incomplete == 0 and self.error is None and self.problem is None
        if whole and self.state is not None and self.state.data_ready:
            return SyncStatus.COMPLETED
        return SyncStatus.PARTIAL if self.accounts_read or self.accounts == 0 else SyncStatus.FAILED


def following(outcome: Outcome, connection: Connection, frequency: timedelta, chance: float) -> Next:
    """What follows the run."""
    error = outcome.error
    if error is None and outcome.state is not None and not outcome.state.data_ready:
        error = TransientError("the first fetch runs", code=ErrorCode.DATA_NOT_READY, provider="")
    if error is not None:
        return after_failure(error, connection.failures, frequency, chance)
    return after_success(status_now(outcome, connection, Next(wait=None)), frequency, chance)


def status_now(outcome: Outcome, connection: Connection, next_: Next) -> ConnectionStatus:
    """How the connection stands after the run; a move that is not allowed does not happen."""
    seen = next_.status or (outcome.state.status if outcome.state else connection.status)
    return seen if may_move(CONNECTION_MOVES, connection.status, seen) else connection.status


def status_change(
    outcome: Outcome, origin: Origin, connection: Connection, status: ConnectionStatus, now: datetime
) -> ConnectionStatusChanged | None:
    """The event that says the connection moved; None when it did not."""
    if status is connection.status:
        return None
    state, error = outcome.state, outcome.error
    return ConnectionStatusChanged(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        status=status,
        reason=error.code if error else (state.reason if state else None),
        provider_code=error.provider_code if error else (state.provider_code if state else None),
        changed_at=now,
        version=origin.version,
    )


def finished(
    outcome: Outcome, origin: Origin, *, trigger: str, started_at: datetime, now: datetime, run_id: str
) -> SyncFinished:
    """The event that ends the run; reading is free at every provider, refreshing is not done here."""
    error = outcome.error or outcome.problem
    stands = _STANDSTILL_CODE.get(outcome.state.status) if outcome.state else None
    waiting = outcome.state is not None and not outcome.state.data_ready
    code = error.code if error else stands or (ErrorCode.DATA_NOT_READY if waiting else None)
    return SyncFinished(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        run_id=run_id,
        kind=KIND,
        trigger=trigger,
        status=outcome.status,
        accounts=outcome.accounts or 0,
        holdings=outcome.holdings,
        provider_calls=outcome.calls,
        cost=FREE,
        started_at=started_at,
        finished_at=now,
        version=origin.version,
        error_code=code,
        error=error.message if error else None,
    )
