"""What a verified webhook makes the engine do. A signal is a hint: what counts is what the provider then answers.

Nothing here believes a webhook: whatever it says of a connection, the connection is read. So two webhooks in the
wrong order end in the true state, and one that lies costs a read. What it says has news is fetched, whatever the
provider's own marks say; all else only where they have moved.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from connector_kit import connections, intents, names, streams
from connector_kit.connections import Connection
from connector_kit.engine import Engine
from connector_kit.finish import BUSY, BUSY_WAIT, finish
from connector_kit.streams import ANYTHING
from connector_kit.sync import sync
from contracts.ids import account_id
from contracts.signals import Meaning, Signal, WebhookDelivery
from messaging.policy import TransientError as NotNowError

log = structlog.get_logger(__name__)

TRIGGER = "webhook"
AT_ONCE = frozenset(
    {
        Meaning.NEEDS_REPAIR,
        Meaning.REPAIRED,
        Meaning.REVOKED,
        Meaning.REMOVED,
        Meaning.EXPIRING,
        Meaning.LINK_FINISHED,
    }
)
"""These make the connection be read at once; news about data may wait a moment for more of them."""
NEWS = frozenset({Meaning.DATA_READY, Meaning.REPAIRED, Meaning.LINK_FINISHED})
"""After these the provider may have data it had not when it was last asked."""
EXPIRES_IN = timedelta(days=7)
"""The notice that providers give who do not say by when a connection must be renewed."""


@dataclass(slots=True)
class _Work:
    """What a delivery asks for: connections to read, and whether at once; sessions to finish, and by what word."""

    reads: dict[str, bool] = field(default_factory=dict)
    sessions: dict[str, str | None] = field(default_factory=dict)

    def read(self, connection_id: str, *, at_once: bool) -> None:
        self.reads[connection_id] = self.reads.get(connection_id, False) or at_once

    def finish(self, link_session_id: str, named: str | None) -> None:
        self.sessions[link_session_id] = self.sessions.get(link_session_id) or named


async def handle(engine: Engine, delivery: WebhookDelivery) -> None:
    """Do what a delivery asks for; several signals about one connection are one sync.

    Raises:
        ProviderError: a link session could not be looked at.
        TransientError: of the bus; somebody else is looking at it.
    """
    work = _Work()
    found = engine.adapter.signals(delivery)
    if not found:
        engine.metrics.signalled(Meaning.IGNORED, "unknown")
    for signal in found:
        if signal.meaning is Meaning.IGNORED:
            engine.metrics.signalled(signal.meaning, "ignored")
            log.info("signal.ignored", provider=engine.provider, reason=signal.reason)
        else:
            known = await _plan(engine, signal, delivery.received_at, work)
            engine.metrics.signalled(signal.meaning, "done" if known else "unknown")
    for session, named in work.sessions.items():
        await _finish(engine, session, named)
    await asyncio.gather(
        *(_read(engine, one, delivery.received_at, at_once=at_once) for one, at_once in work.reads.items())
    )


async def _plan(engine: Engine, signal: Signal, received_at: datetime, work: _Work) -> bool:
    """Add what a signal asks for; False when it concerns nobody we know."""
    sessions = await _sessions(engine, signal) if signal.meaning is Meaning.LINK_FINISHED else []
    for session in sessions:
        work.finish(session, signal.external_connection_id)
    # The end of a session says nothing of the user's other connections.
    about_a_user = signal.meaning is not Meaning.LINK_FINISHED
    found = await _connections(engine, signal, about_a_user=about_a_user)
    for connection in found:
        work.read(connection.connection_id, at_once=signal.meaning in AT_ONCE)
        await _note(engine, signal, connection, received_at)
        if signal.meaning is Meaning.REPAIRED:
            for session in await _waiting(engine, connection):
                work.finish(session, connection.external_id)
    return bool(sessions or found)


async def _note(engine: Engine, signal: Signal, connection: Connection, received_at: datetime) -> None:
    """Keep what a signal says until the connection is read, also where another run is on its way."""
    identity = connection.connection_id
    if signal.meaning is Meaning.EXPIRING:
        ends = signal.repair_by or received_at + EXPIRES_IN
        await connections.expires(engine.database, identity, ends)
    elif signal.meaning is Meaning.REPAIRED:
        await connections.expires(engine.database, identity, None)
    if signal.meaning in NEWS:
        external = signal.external_account_id
        account = account_id(engine.provider, connection.user_id, external) if external else None
        await streams.forget(engine.database, identity, frozenset(signal.streams) or ANYTHING, account)


async def _read(engine: Engine, connection_id: str, asked_at: datetime, *, at_once: bool) -> None:
    spacing = 0.0 if at_once else engine.settings.webhook_spacing_seconds
    await sync(engine, connection_id, trigger=TRIGGER, asked_at=asked_at, spacing=timedelta(seconds=spacing))


async def _finish(engine: Engine, link_session_id: str, named: str | None) -> None:
    done = await finish(engine, link_session_id, user_id=None, named=named)
    if done is not None and done.busy:
        raise NotNowError(BUSY, wait=BUSY_WAIT)
    fresh = done.fresh if done else []
    await asyncio.gather(*(sync(engine, connection_id, trigger="link") for connection_id in fresh))


async def _connections(engine: Engine, signal: Signal, *, about_a_user: bool) -> list[Connection]:
    """Whom a signal concerns; nobody for what was never ours or is removed."""
    database, provider = engine.database, engine.provider
    if signal.external_connection_id is not None:
        return await connections.by_external_id(database, provider, signal.external_connection_id)
    if signal.external_user_id is not None and about_a_user:
        return await connections.by_external_user(database, provider, signal.external_user_id)
    return []


async def _sessions(engine: Engine, signal: Signal) -> list[str]:
    if signal.session_token is not None:
        digest = names.digest(signal.session_token)
        return await intents.by_session_token(engine.database, engine.provider, digest)
    if signal.external_user_id is not None:
        return await intents.open_of_external_user(engine.database, engine.provider, signal.external_user_id)
    return []


async def _waiting(engine: Engine, connection: Connection) -> list[str]:
    return await intents.waiting_for(
        engine.database, engine.provider, connection.user_id, connection.external_id
    )
