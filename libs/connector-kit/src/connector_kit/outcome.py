"""How a sync run ended, in the words of events and of the policy. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from connector_kit.connections import Connection
from connector_kit.policy import Next, after_failure, after_success
from connector_kit.snapshots import Origin
from contracts.errors import ErrorCode, ProviderError, TransientError
from contracts.linking import ConnectionState
from contracts.messages import ConnectionStatusChanged, SyncFinished
from contracts.money import Money
from contracts.statuses import CONNECTION_MOVES, ConnectionStatus, SyncStatus, may_move

INITIAL = "initial"
INCREMENTAL = "incremental"
CHECK = "check"
EXPIRING = "expiring"
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
        unchanged: how many had not changed since they were read before.
        holdings: rows published.
        transactions: published.
        orders: published.
        covers_from: the first day of transactions that is whole by what was read.
        covers_through: the last.
        unfinished: whether there is more to read, which the next run goes on with.
        calls: provider calls made.
        error: what decides about the next run.
        problem: what is only reported.
    """

    kind: str = INITIAL
    state: ConnectionState | None = None
    accounts: int | None = None
    accounts_read: int = 0
    unread: int = 0
    incomplete: int = 0
    unchanged: int = 0
    holdings: int = 0
    transactions: int = 0
    orders: int = 0
    covers_from: date | None = None
    covers_through: date | None = None
    unfinished: bool = False
    calls: int = 0
    error: ProviderError | None = None
    problem: ProviderError | None = None

    @property
    def status(self) -> SyncStatus:
        """Failed when nothing was read; partial when anything is missing."""
        if self.accounts is None:
            return SyncStatus.FAILED
        if self.ended and self.incomplete == 0 and self.problem is None:
            return SyncStatus.COMPLETED
        found = self.accounts_read or self.unchanged or self.transactions or self.accounts == 0
        return SyncStatus.PARTIAL if found else SyncStatus.FAILED

    @property
    def ended(self) -> bool:
        """Whether the run came to its end: everything was asked for and answered, if not always wholly."""
        ready = self.state is not None and self.state.data_ready
        return ready and self.unread == 0 and self.error is None and not self.unfinished

    def cover(self, first: date | None, last: date | None) -> None:
        """Widen the range of days whose transactions were read."""
        firsts = [day for day in (self.covers_from, first) if day is not None]
        lasts = [day for day in (self.covers_through, last) if day is not None]
        self.covers_from, self.covers_through = min(firsts, default=None), max(lasts, default=None)


def following(outcome: Outcome, connection: Connection, frequency: timedelta, chance: float) -> Next:
    """What follows the run."""
    error = outcome.error
    if error is None and outcome.state is not None and not outcome.state.data_ready:
        error = TransientError("the first fetch runs", code=ErrorCode.DATA_NOT_READY, provider="")
    if error is not None:
        return after_failure(error, connection.failures, frequency, chance)
    if outcome.unfinished:
        return Next(wait=timedelta(0))
    return after_success(status_now(outcome, connection, Next(wait=None)), frequency, chance)


def status_now(outcome: Outcome, connection: Connection, next_: Next) -> ConnectionStatus:
    """How the connection stands after the run; a move that is not allowed does not happen."""
    seen = next_.status or (outcome.state.status if outcome.state else connection.status)
    return seen if may_move(CONNECTION_MOVES, connection.status, seen) else connection.status


def repaired(outcome: Outcome, connection: Connection) -> bool:
    """Whether the connection works again."""
    works = outcome.state is not None and outcome.state.status is ConnectionStatus.ACTIVE
    return works and connection.status is not ConnectionStatus.ACTIVE


def repair_by(outcome: Outcome, connection: Connection, now: datetime) -> datetime | None:
    """When access ends unless the user renews it: what the provider says now, or has said before and still may be."""
    if outcome.state is not None and outcome.state.repair_by is not None:
        return outcome.state.repair_by
    told = connection.repair_by
    return told if told is not None and told > now and not repaired(outcome, connection) else None


def status_change(
    outcome: Outcome, origin: Origin, connection: Connection, status: ConnectionStatus, now: datetime
) -> ConnectionStatusChanged | None:
    """The event that says the connection moved, or that access to it will end; None when neither is news."""
    ends = repair_by(outcome, connection, now)
    if status is connection.status:
        if ends == connection.repair_told:
            return None
        return _expiring(origin, status, ends, now)
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
        repair_by=ends,
    )


def _expiring(
    origin: Origin, status: ConnectionStatus, ends: datetime | None, now: datetime
) -> ConnectionStatusChanged:
    return ConnectionStatusChanged(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        status=status,
        reason=EXPIRING if ends else None,
        provider_code=None,
        changed_at=now,
        version=origin.version,
        repair_by=ends,
    )


def decisive_code(outcome: Outcome) -> ErrorCode | None:
    """Why the next run comes when it does; None when nothing stands in the way, whatever else is reported."""
    if outcome.error is not None:
        return outcome.error.code
    if outcome.state is None:
        return None
    waiting = None if outcome.state.data_ready else ErrorCode.DATA_NOT_READY
    return _STANDSTILL_CODE.get(outcome.state.status, waiting)


def finished(
    outcome: Outcome, origin: Origin, *, trigger: str, started_at: datetime, now: datetime, run_id: str
) -> SyncFinished:
    """The event that ends the run; reading is free at every provider, refreshing is not done here."""
    error = outcome.error or outcome.problem
    code = decisive_code(outcome) or (error.code if error else None)
    return SyncFinished(
        user_id=origin.user_id,
        provider=origin.provider,
        connection_id=origin.connection_id,
        institution=origin.institution,
        run_id=run_id,
        kind=outcome.kind,
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
        unchanged=outcome.unchanged,
        transactions=outcome.transactions,
        orders=outcome.orders,
        covers_from=outcome.covers_from,
        covers_through=outcome.covers_through,
    )
