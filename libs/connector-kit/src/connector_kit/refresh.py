"""A refresh that is paid for: the provider is asked at most once under one charge, whatever happens to us.

The intent is committed before the call. Whoever finds it there does not call: a redelivered command, another replica,
a process that came back. What a call without an answer did is told later by what the provider has fetched since.
"""

import asyncio
from datetime import timedelta
from functools import partial

import structlog

from connector_kit import breaker, connections, credentials, refreshes
from connector_kit.connections import Connection
from connector_kit.engine import Engine
from connector_kit.priority import Priority, working
from connector_kit.publish import publish
from connector_kit.refreshes import CALLING, Refresh, Settlement
from contracts.connectors import Refreshes
from contracts.errors import ErrorCode, OutcomeUnknownError, ProviderError
from contracts.linking import ConnectionAccess
from contracts.messages import RefreshOutcome, RefreshSettled, SyncConnection

log = structlog.get_logger(__name__)

CALL_SECONDS = 90.0
"""A call is given up after this; less than ``refreshes.CALL_OVER``, so that no call is ever taken for dead."""
CALL_WITHIN = 60.0
"""Seconds after the intent in which the call may begin; later its process is taken for dead, or soon will be."""
READ_AGAIN_IN = timedelta(minutes=1)
"""A refresh takes the provider about as long; its webhook may come sooner, later or never."""
FETCHED = frozenset({RefreshOutcome.ACCEPTED, RefreshOutcome.UNKNOWN})
TOO_LATE = Settlement(RefreshOutcome.REFUSED, ErrorCode.TIMEOUT, "it could not be asked for in time")


async def pay(engine: Engine, connection: Connection | None, command: SyncConnection) -> None:
    """Have the provider fetch, once under this charge, and say what became of it.

    ``connection`` is None for one that is not there (any more): nothing is asked and nothing is charged.

    Raises:
        BusError, DatabaseUnavailable: what became of it is not told or not recorded; repeated, nothing is called.
        SecretStoreUnavailableError: nothing has happened yet.
    """
    charge_id = command.charge_id or ""
    # Whatever may fail without the provider comes before the intent: it can be tried again.
    access, refusal = await _access(engine, connection)
    began = engine.clock.monotonic()
    if await refreshes.begin(engine.database, engine.provider, command):
        late = TOO_LATE if engine.clock.monotonic() - began > CALL_WITHIN else None
        settlement = refusal or late or await _call(engine, access)
        settling = partial(refreshes.settle, engine.database, charge_id, settlement)
        await engine.database.retrying(settling)
        _log(engine, command, settlement)
    found = await refreshes.find(engine.database, engine.provider, charge_id)
    if found is None or found.state == CALLING:
        # Another delivery is at it, or was: the sweep sees how that ends.
        return
    if not found.told:
        await tell(engine, found)
    if connection is not None and found.state in FETCHED:
        soon = engine.clock.now() + READ_AGAIN_IN
        await connections.postpone(engine.database, engine.provider, connection.connection_id, soon)


async def tell(engine: Engine, settled: Refresh) -> None:
    """Publish what became of a refresh."""
    event = RefreshSettled(
        user_id=settled.user_id,
        provider=settled.provider,
        connection_id=settled.connection_id,
        charge_id=settled.charge_id,
        outcome=RefreshOutcome(settled.state),
        settled_at=settled.settled_at or settled.called_at,
        error_code=settled.error_code,
        error=settled.error,
    )
    await publish(engine, event)
    await refreshes.mark_told(engine.database, settled)


async def sweep(engine: Engine) -> None:
    """Settle what crashes left behind, tell what was not told, and look where evidence is missing."""
    left = await refreshes.give_up_calls(engine.database, engine.provider)
    within = timedelta(seconds=engine.settings.refresh_evidence_seconds)
    await refreshes.judge(engine.database, engine.provider, within)
    for settled in await refreshes.untold(engine.database, engine.provider):
        await tell(engine, settled)
    wanting = await refreshes.wanting_evidence(engine.database, engine.provider, within)
    for connection_id in dict.fromkeys([*left, *wanting]):
        await connections.postpone(engine.database, engine.provider, connection_id, engine.clock.now())


async def _access(
    engine: Engine, connection: Connection | None
) -> tuple[ConnectionAccess | None, Settlement | None]:
    """What the call needs, or why there will be none."""
    if connection is None:
        return None, Settlement(
            RefreshOutcome.REFUSED, ErrorCode.CONNECTION_GONE, "there is no such connection"
        )
    if not isinstance(engine.adapter, Refreshes):
        return None, Settlement(
            RefreshOutcome.REFUSED, ErrorCode.NOT_SUPPORTED, "the provider has no refresh"
        )
    try:
        await breaker.check(engine.database, engine.provider, connection.institution)
        return await credentials.access(engine, connection), None
    except ProviderError as error:
        return None, _settlement(error)


async def _call(engine: Engine, access: ConnectionAccess | None) -> Settlement:
    if access is None or not isinstance(engine.adapter, Refreshes):
        raise RuntimeError("a refresh without access is refused before it is begun")
    try:
        with working(Priority.INTERACTIVE):
            async with asyncio.timeout(CALL_SECONDS):
                await engine.adapter.refresh(access)
    except ProviderError as error:
        return _settlement(error)
    except TimeoutError:
        return Settlement(RefreshOutcome.UNKNOWN, ErrorCode.TIMEOUT, "the provider gave no answer")
    except Exception:
        # A defect after the request may have been sent: nobody knows what the provider did.
        log.exception("refresh.broken", provider=engine.provider)
        return Settlement(RefreshOutcome.UNKNOWN, ErrorCode.INTERNAL, "the call ended in a defect of ours")
    return Settlement(RefreshOutcome.ACCEPTED)


def _settlement(error: ProviderError) -> Settlement:
    unknown = isinstance(error, OutcomeUnknownError)
    outcome = RefreshOutcome.UNKNOWN if unknown else RefreshOutcome.REFUSED
    return Settlement(outcome, error.code, error.message)


def _log(engine: Engine, command: SyncConnection, settlement: Settlement) -> None:
    engine.metrics.refreshed(settlement.outcome)
    log.info(
        "refresh.settled",
        provider=engine.provider,
        connection_id=command.connection_id,
        charge_id=command.charge_id,
        result=settlement.outcome,
        error_code=settlement.error_code,
    )
