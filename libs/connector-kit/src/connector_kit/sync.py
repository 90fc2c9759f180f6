"""One sync run: claim, read, publish, record.

Everything a run publishes carries the fence of its claim as version, is confirmed by the broker before the run
is recorded, and is harmless when published twice.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from connector_kit import calls, connections, credentials
from connector_kit.connections import Claim, Found
from connector_kit.engine import Engine
from connector_kit.hold import CLAIM_FOR, held
from connector_kit.outcome import Outcome, finished, following, status_change, status_now
from connector_kit.policy import Next
from connector_kit.publish import publish
from connector_kit.reading import read, read_holdings
from connector_kit.snapshots import Origin, account_snapshots, accounts_snapshot, unread_snapshot
from contracts.accounts import ProviderAccount
from contracts.connectors import AccountRead
from contracts.errors import ErrorCode, GoneError, ProviderError, TransientError
from contracts.linking import ConnectionAccess, ConnectionState
from contracts.messages import Event, SyncFinished
from contracts.statuses import ConnectionStatus
from persistence.database import DatabaseUnavailable

log = structlog.get_logger(__name__)

STANDSTILL = frozenset({ConnectionStatus.BROKEN, ConnectionStatus.REVOKED, ConnectionStatus.REMOVED})


async def sync(
    engine: Engine,
    connection_id: str,
    *,
    trigger: str,
    asked_at: datetime | None = None,
    spacing: timedelta = timedelta(0),
) -> SyncFinished | None:
    """Bring a connection up to date; None when a run that is newer than the wish has done it or will.

    Raises:
        BusError: what was read could not be published; nothing is recorded, the claim is given back.
    """
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
        return await _Run(engine, claimed, trigger).go()


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
    """One run: what it read, and what it has on its way to the broker."""

    def __init__(self, engine: Engine, claimed: Claim, trigger: str) -> None:
        self._engine = engine
        self._claim = claimed
        self._trigger = trigger
        self._started_at = engine.clock.now()
        self._origin = Origin(
            user_id=claimed.connection.user_id,
            provider=engine.provider,
            connection_id=claimed.connection.connection_id,
            institution=claimed.connection.institution,
            synced_at=self._started_at,
            version=claimed.version,
        )
        self._outcome = Outcome()
        self._sending: list[asyncio.Task[None]] = []
        self._missing: dict[str, ProviderAccount] = {}

    async def go(self) -> SyncFinished:
        """Read everything, publish it, say how it ended, record it."""
        with calls.counting() as counter:
            try:
                await self._read_in_time()
                self._tell_of_missing()
            finally:
                await self._sent()
        outcome, engine = self._outcome, self._engine
        outcome.calls = counter.made
        next_ = following(
            outcome,
            self._claim.connection,
            timedelta(seconds=self._claim.connection.frequency_seconds),
            engine.chance(),
        )
        status = status_now(outcome, self._claim.connection, next_)
        end = finished(
            outcome,
            self._origin,
            trigger=self._trigger,
            started_at=self._started_at,
            now=engine.clock.now(),
            run_id=uuid.uuid4().hex,
        )
        moved = status_change(outcome, self._origin, self._claim.connection, status, engine.clock.now())
        await publish(engine, *([moved] if moved else []), end)
        await self._record(status, next_, end)
        return end

    async def _record(self, status: ConnectionStatus, next_: Next, end: SyncFinished) -> None:
        state = self._outcome.state
        found = Found(
            status=status,
            connection_type=state.connection_type if state else None,
            institution_name=state.institution_name if state else None,
            synced_at=self._started_at if self._outcome.accounts is not None else None,
            as_of=state.data_as_of if state else None,
        )
        kept = await connections.save(self._engine.database, self._claim, found, next_)
        self._engine.metrics.synced(end)
        log.info(
            "sync.finished" if kept else "sync.overtaken",
            provider=self._engine.provider,
            connection_id=self._origin.connection_id,
            trigger=self._trigger,
            result=end.status,
            accounts=end.accounts,
            holdings=end.holdings,
            calls=end.provider_calls,
            error_code=end.error_code,
        )

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
        engine, outcome = self._engine, self._outcome
        access = await credentials.access(engine, self._claim.connection)
        state = await read(engine, lambda: engine.adapter.state(access))
        outcome.state = state
        if state.status in STANDSTILL:
            return
        accounts = await read(engine, lambda: engine.adapter.accounts(access, state))
        outcome.accounts = len(accounts)
        self._missing = {account.account_id: account for account in accounts}
        self._send(accounts_snapshot(self._origin, state, accounts))
        await self._read_accounts(access, state, accounts)

    async def _read_accounts(
        self, access: ConnectionAccess, state: ConnectionState, accounts: list[ProviderAccount]
    ) -> None:
        outcome = self._outcome
        try:
            async for one in read_holdings(self._engine, access, state, accounts):
                self._take(state, one)
        except GoneError as error:
            # The connection answered a moment ago: it is an account that is gone, and the next list tells.
            outcome.problem = error
        outcome.unread = len(accounts) - outcome.accounts_read

    def _take(self, state: ConnectionState, one: AccountRead) -> None:
        """Publish one account; one whose numbers are unusable is left as it was and does not stop the others."""
        try:
            balances, holdings = account_snapshots(self._origin, state, one)
        except ProviderError as error:
            self._outcome.error = error
            return
        self._missing.pop(one.account.account_id, None)
        self._outcome.accounts_read += 1
        self._outcome.holdings += len(holdings.holdings)
        self._outcome.incomplete += 0 if holdings.complete else 1
        self._send(balances, holdings)

    def _tell_of_missing(self) -> None:
        """Say of every account that was listed and could not be read that what is known of it may be old."""
        outcome = self._outcome
        failure = outcome.error or outcome.problem
        if failure is None or outcome.state is None:
            return
        for account in self._missing.values():
            self._send(unread_snapshot(self._origin, outcome.state, account, failure.code))

    def _send(self, *events: Event) -> None:
        """Publish in the background: the next account is read meanwhile."""
        work: Coroutine[Any, Any, None] = publish(self._engine, *events)
        self._sending.append(asyncio.ensure_future(work))

    async def _sent(self) -> None:
        """Wait until the broker has everything.

        Raises:
            BusError: it does not.
        """
        results = await asyncio.gather(*self._sending, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
