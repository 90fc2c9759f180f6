"""What a verified webhook makes the engine do. A signal is a hint: what counts is what the provider then answers.

Nothing here believes a webhook: whatever it says of a connection, the connection is read. So two webhooks in the
wrong order end in the true state, and one that lies costs a read.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from connector_kit import connections, intents, names
from connector_kit.engine import Engine
from connector_kit.finish import BUSY, BUSY_WAIT, finish
from connector_kit.sync import sync
from contracts.signals import Meaning, Signal, WebhookDelivery
from messaging.policy import TransientError as NotNowError

log = structlog.get_logger(__name__)

TRIGGER = "webhook"
STATE_CHANGES = frozenset({Meaning.NEEDS_REPAIR, Meaning.REPAIRED, Meaning.REVOKED, Meaning.REMOVED})
"""These make the connection be read at once; news about data may wait a moment for more of them."""


async def handle(engine: Engine, delivery: WebhookDelivery) -> None:
    """Do what a delivery asks for; several signals about one connection are one sync.

    Raises:
        ProviderError: a link session could not be looked at.
        TransientError: of the bus; somebody else is looking at it.
    """
    urgent: dict[str, bool] = {}
    sessions: list[str] = []
    for signal in engine.adapter.signals(delivery):
        match signal.meaning:
            case Meaning.IGNORED | Meaning.EXPIRING:
                engine.metrics.signalled(signal.meaning, "ignored")
                log.info(
                    "signal.noted", provider=engine.provider, meaning=signal.meaning, reason=signal.reason
                )
            case Meaning.LINK_FINISHED:
                sessions += _counted(engine, signal, await _sessions(engine, signal))
            case _:
                for found in _counted(engine, signal, await _connections(engine, signal)):
                    urgent[found] = urgent.get(found, False) or signal.meaning in STATE_CHANGES
    for session in dict.fromkeys(sessions):
        await _finish(engine, session)
    await asyncio.gather(
        *(_read(engine, found, delivery.received_at, at_once=at_once) for found, at_once in urgent.items())
    )


async def _read(engine: Engine, connection_id: str, asked_at: datetime, *, at_once: bool) -> None:
    spacing = 0.0 if at_once else engine.settings.webhook_spacing_seconds
    await sync(engine, connection_id, trigger=TRIGGER, asked_at=asked_at, spacing=timedelta(seconds=spacing))


async def _finish(engine: Engine, link_session_id: str) -> None:
    done = await finish(engine, link_session_id, user_id=None)
    if done is not None and done.busy:
        raise NotNowError(BUSY, wait=BUSY_WAIT)
    fresh = done.fresh if done else []
    await asyncio.gather(*(sync(engine, connection_id, trigger="link") for connection_id in fresh))


async def _connections(engine: Engine, signal: Signal) -> list[str]:
    """Whom a signal concerns; nobody for what was never ours or is removed."""
    if signal.external_connection_id is not None:
        found = await connections.by_external_id(
            engine.database, engine.provider, signal.external_connection_id
        )
    elif signal.external_user_id is not None:
        found = await connections.by_external_user(engine.database, engine.provider, signal.external_user_id)
    else:
        found = []
    return [connection.connection_id for connection in found]


async def _sessions(engine: Engine, signal: Signal) -> list[str]:
    if signal.session_token is not None:
        digest = names.digest(signal.session_token)
        return await intents.by_session_token(engine.database, engine.provider, digest)
    if signal.external_user_id is not None:
        return await intents.open_of_external_user(engine.database, engine.provider, signal.external_user_id)
    return []


def _counted(engine: Engine, signal: Signal, found: list[str]) -> list[str]:
    engine.metrics.signalled(signal.meaning, "done" if found else "unknown")
    return found
