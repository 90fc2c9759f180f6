"""One sync run: claim, ask what has changed, fetch that, publish, record.

The cheapest question comes first: while the connection's own mark is what it was, nothing else is asked; of the
accounts only those are fetched whose list entry has changed. Everything a run publishes carries the fence of its claim
as version, is confirmed by the broker before it is noted as read, and is harmless when published twice.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

import structlog

from connector_kit import calls, connections, credentials, due, listed
from connector_kit.activity import Sight, read_history, read_orders, read_transactions
from connector_kit.connections import Claim, Found
from connector_kit.engine import Engine
from connector_kit.hold import CLAIM_FOR, held
from connector_kit.outcome import (
    CHECK,
    decisive_code,
    finished,
    following,
    repair_by,
    repaired,
    status_change,
    status_now,
)
from connector_kit.policy import OPERATORS_CODES, Next
from connector_kit.publish import publish
from connector_kit.reading import read, read_holdings
from connector_kit.running import Running
from connector_kit.snapshots import account_snapshots, accounts_snapshot, unread_snapshot
from connector_kit.streams import ANYTHING, WHOLE, Stream, forget, load
from contracts.accounts import ProviderAccount
from contracts.connectors import AccountRead, ReadsHistory, ReadsOrders, ReadsTransactions
from contracts.errors import ErrorCode, GoneError, ProviderError, RefusedError, TransientError
from contracts.linking import ConnectionAccess, ConnectionState
from contracts.messages import SyncFinished
from contracts.statuses import ConnectionStatus, SyncStatus
from persistence.database import DatabaseUnavailable

log = structlog.get_logger(__name__)

STANDSTILL = frozenset({ConnectionStatus.BROKEN, ConnectionStatus.REVOKED, ConnectionStatus.REMOVED})
ASKED_BY_PEOPLE = frozenset({"link", "manual", "user", "reconnect", "admin"})
"""Triggers of runs that fetch what is there now, whatever the provider says of it."""


async def sync(
    engine: Engine,
    connection_id: str,
    *,
    trigger: str,
    asked_at: datetime | None = None,
    spacing: timedelta = timedelta(0),
    streams: frozenset[str] | None = None,
    forced: bool = False,
) -> SyncFinished | None:
    """Bring a connection up to date; None when a run that is newer than the wish has done it or will.

    What is ``forced`` (everything: by itself where a person asked) or has news is fetched by this run or, where
    another is going on, by the next one.

    Raises:
        BusError: what was read could not be published; nothing is recorded, the claim is given back.
    """
    wanted = ANYTHING if forced or trigger in ASKED_BY_PEOPLE else streams or frozenset()
    if wanted:
        await forget(engine.database, connection_id, wanted)
    claimed = await connections.claim(
        engine.database,
        engine.provider,
        connection_id,
        holder=uuid.uuid4().hex,
        lease=CLAIM_FOR,
        asked_at=asked_at,
        spacing=spacing,
    )
    return await run(engine, claimed, trigger) if claimed else None


def deadline_of(engine: Engine) -> float:
    """Seconds after which a run is given up."""
    return float(engine.settings.sync_deadline_seconds)


async def run(engine: Engine, claimed: Claim, trigger: str) -> SyncFinished:
    """Do one run under a claim."""
    renew = partial(connections.renew, engine.database, claimed, CLAIM_FOR)
    async with _given_back_on_failure(engine, claimed), held(renew):
        notes = await load(engine.database, claimed.connection.connection_id)
        return await _Run(Running(engine, claimed, trigger, notes)).go()


@asynccontextmanager
async def _given_back_on_failure(engine: Engine, claimed: Claim) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        try:
            await connections.release(engine.database, claimed)
        except DatabaseUnavailable:
            # It ends by itself; the scheduler looks at the connection then.
            log.warning("sync.claim_not_released", provider=engine.provider)
        raise


class _Run:
    """What one run does."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._engine = running.engine
        self._claim = running.claim
        self._outcome = running.outcome
        self._accounts: dict[str, ProviderAccount] = {}
        self._missing: dict[str, ProviderAccount] = {}

    async def go(self) -> SyncFinished:
        """Read what must be read, publish it, say how it ended, record it."""
        self._running.begins()
        with calls.counting() as counter:
            try:
                await self._read_in_time()
                self._tell_of_missing()
            finally:
                await self._running.sent()
        self._outcome.calls = counter.made
        self._note_whole()
        await self._running.checkpoint()
        return await self._end()

    async def _end(self) -> SyncFinished:
        outcome, engine, connection = self._outcome, self._engine, self._claim.connection
        now = engine.clock.now()
        frequency = timedelta(seconds=connection.frequency_seconds)
        next_ = following(outcome, connection, frequency, engine.chance())
        status = status_now(outcome, connection, next_)
        end = finished(
            outcome,
            self._running.origin,
            trigger=self._running.trigger,
            started_at=self._running.started_at,
            now=now,
            run_id=self._running.run_id,
        )
        moved = status_change(outcome, self._running.origin, connection, status, now)
        await publish(engine, *([moved] if moved else []), end)
        await self._record(status, next_, end, now)
        return end

    async def _record(self, status: ConnectionStatus, next_: Next, end: SyncFinished, now: datetime) -> None:
        engine, outcome, connection = self._engine, self._outcome, self._claim.connection
        state = outcome.state
        found = Found(
            status=status,
            connection_type=state.connection_type if state else None,
            institution_name=state.institution_name if state else None,
            synced_at=self._running.started_at if outcome.accounts is not None else None,
            as_of=self._fetched_at(),
            realtime=state.realtime if state else None,
            error_code=decisive_code(outcome),
            repair_by=state.repair_by if state else None,
            repair_told=repair_by(outcome, connection, now),
        )
        if repaired(outcome, connection):
            await connections.expires(engine.database, connection.connection_id, found.repair_by)
        if outcome.unfinished:
            # Also where nothing is read by itself: what was begun is brought to its end.
            await connections.postpone(engine.database, engine.provider, connection.connection_id, now)
        kept = await connections.save(engine.database, self._claim, found, next_)
        engine.metrics.synced(end)
        log.info(
            "sync.finished" if kept else "sync.overtaken",
            provider=engine.provider,
            connection_id=connection.connection_id,
            trigger=self._running.trigger,
            kind=end.kind,
            result=end.status,
            accounts=end.accounts,
            unchanged=end.unchanged,
            holdings=end.holdings,
            transactions=end.transactions,
            calls=end.provider_calls,
            error_code=end.error_code,
        )

    def _fetched_at(self) -> datetime | None:
        """When the provider last fetched, of the connection or of any account: also where nothing could be read whole."""
        state = self._outcome.state
        told = [one.holdings_as_of for one in self._accounts.values()] + [state.data_as_of if state else None]
        return max((at for at in told if at is not None), default=None)

    async def _read_in_time(self) -> None:
        limit = asyncio.timeout(deadline_of(self._engine))
        try:
            async with limit:
                await self._read()
        except ProviderError as error:
            self._outcome.error = error
        except TimeoutError:
            if not limit.expired():
                raise
            self._outcome.error = TransientError(
                "the sync took too long", code=ErrorCode.TIMEOUT, provider=self._engine.provider
            )

    async def _read(self) -> None:
        engine, outcome, running = self._engine, self._outcome, self._running
        access = await credentials.access(engine, self._claim.connection)
        state = await read(engine, lambda: engine.adapter.state(access))
        outcome.state = state
        if state.status in STANDSTILL:
            return
        if repaired(outcome, self._claim.connection):
            running.notes = due.forgotten(running.notes)
        if due.nothing_moved(state, running.noted(WHOLE, Stream.STATE), running.started_at, running.full):
            outcome.kind = CHECK
            outcome.accounts = outcome.unchanged = due.accounts_in(running.notes)
            return
        accounts = await self._list(access, state)
        await self._read_accounts(access, state, accounts)
        await running.checkpoint()
        await self._read_activity(Sight(access, state, accounts))

    async def _list(self, access: ConnectionAccess, state: ConnectionState) -> list[ProviderAccount]:
        engine, running = self._engine, self._running
        accounts = await read(engine, lambda: engine.adapter.accounts(access, state))
        self._outcome.accounts = len(accounts)
        self._accounts = {account.account_id: account for account in accounts}
        snapshot = accounts_snapshot(running.origin, state, accounts)
        running.send(snapshot)
        known = list(self._accounts.values())
        await listed.keep(engine.database, self._claim, state, known, complete=snapshot.complete)
        return known

    async def _read_accounts(
        self, access: ConnectionAccess, state: ConnectionState, accounts: list[ProviderAccount]
    ) -> None:
        """Fetch the holdings of the accounts that have changed."""
        outcome, running = self._outcome, self._running
        wanted = [account for account in accounts if self._changed(account)]
        outcome.unchanged = len(accounts) - len(wanted)
        self._missing = {account.account_id: account for account in wanted}
        try:
            async for one in read_holdings(self._engine, access, state, wanted):
                self._take(state, one)
                running.progressed(Stream.HOLDINGS, outcome.accounts_read, len(wanted))
        except GoneError as error:
            # The connection answered a moment ago: it is an account that is gone, and the next list tells.
            outcome.problem = error
        except RefusedError as error:
            if error.code in OPERATORS_CODES:
                raise
            # Of one account, as the others answered; what happened in them can still be read.
            outcome.error = error
        outcome.unread = len(wanted) - outcome.accounts_read

    def _changed(self, account: ProviderAccount) -> bool:
        running = self._running
        kept = running.noted(account.account_id, Stream.HOLDINGS)
        return due.holdings_due(account, kept, running.started_at, running.full)

    def _take(self, state: ConnectionState, one: AccountRead) -> None:
        """Publish one account; one whose numbers are unusable is left as it was and does not stop the others."""
        running, outcome = self._running, self._outcome
        try:
            balances, holdings = account_snapshots(running.origin, state, one)
        except ProviderError as error:
            outcome.error = error
            return
        self._missing.pop(one.account.account_id, None)
        outcome.accounts_read += 1
        outcome.holdings += len(holdings.holdings)
        outcome.incomplete += 0 if holdings.complete else 1
        running.send(balances, holdings)
        if holdings.complete:
            # What the list said, as that is what the next list is compared with.
            account, empty = self._accounts[one.account.account_id], not holdings.holdings
            kept = running.noted(account.account_id, Stream.HOLDINGS)
            running.keep(due.holdings_read(account, kept, empty=empty, now=running.started_at))

    async def _read_activity(self, sight: Sight) -> None:
        """Read what the accounts did, as far as the adapter can: short lists before long histories."""
        adapter, settings, running = self._engine.adapter, self._engine.settings, self._running
        if isinstance(adapter, ReadsOrders):
            await self._aside(read_orders(running, adapter, sight))
        if settings.transactions_enabled and isinstance(adapter, ReadsTransactions):
            await running.checkpoint()
            await read_transactions(running, adapter, sight)
        if settings.history_enabled and isinstance(adapter, ReadsHistory) and not self._outcome.unfinished:
            await self._aside(read_history(running, adapter, sight))

    async def _aside(self, reading: Awaitable[None]) -> None:
        """Read what nothing depends on: what does not answer now is asked for by the next run."""
        try:
            await reading
        except TransientError as error:
            self._outcome.problem = error

    def _note_whole(self) -> None:
        """Note that the run came to its end, and by which mark the next one will see that nothing has moved."""
        outcome, running = self._outcome, self._running
        if not outcome.ended or outcome.kind == CHECK or not self._accounts or outcome.state is None:
            return
        completed = outcome.status is SyncStatus.COMPLETED and not due.unconfirmed(running.notes)
        since = due.whole_since(list(self._accounts.values()), running.notes, running.started_at)
        running.note(WHOLE, Stream.STATE, outcome.state.mark if completed else None, since)

    def _tell_of_missing(self) -> None:
        """Say of every account that was asked for and not read that what is known of it may be old."""
        outcome, running = self._outcome, self._running
        failure = outcome.error or outcome.problem
        if failure is None or outcome.state is None:
            return
        for account in self._missing.values():
            running.send(unread_snapshot(running.origin, outcome.state, account, failure.code))
