"""Commands from the connector's queue, one handler each; every one of them may come twice."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import psycopg

from connector_kit import connections, handled, refresh, signals
from connector_kit.configure import configure
from connector_kit.engine import Engine
from connector_kit.finish import BUSY, BUSY_WAIT, finish
from connector_kit.remove import remove
from connector_kit.sync import sync
from contracts.envelope import Received
from contracts.errors import ProviderError, TransientError
from contracts.messages import Command, ConfigureConnection, LinkCompleted, RemoveConnection, SyncConnection
from contracts.signals import WebhookDelivery
from contracts.topics import connector_queue
from messaging.bus import Bus, BusError
from messaging.consume import EachConsumer, Habits
from messaging.ledger import AttemptLedger
from messaging.measures import EventMetrics
from messaging.policy import Outcome, Park, PermanentError, Retry
from messaging.policy import TransientError as NotNowError
from messaging.publishing import received
from persistence.database import DatabaseUnavailable
from persistence.secrets import SecretStoreUnavailableError
from service_kit import tracing

DEADLINE_MARGIN = 30.0 + refresh.CALL_SECONDS
"""A call and a sync run give up by themselves; the loop's own deadline is for what hangs elsewhere."""


async def on_sync(engine: Engine, command: SyncConnection, asked_at: datetime) -> None:
    """Bring a connection up to date, once per idempotency id; where it is paid for, have the provider fetch first."""
    if await handled.was_handled(engine.database, engine.provider, command.user_id, command.idempotency_id):
        return
    connection = await connections.find(engine.database, engine.provider, command.connection_id)
    if connection is not None and connection.user_id != command.user_id:
        connection = None
    if command.charge_id is not None:
        await refresh.pay(engine, connection, command)
    elif connection is None:
        raise PermanentError("there is no such connection of this user")
    if connection is not None:
        await _read(engine, command, asked_at)
    await handled.mark_handled(engine.database, engine.provider, command.user_id, command.idempotency_id)


async def _read(engine: Engine, command: SyncConnection, asked_at: datetime) -> None:
    later = command.not_before
    if later is not None and later > engine.clock.now() and command.charge_id is None:
        await connections.postpone(engine.database, engine.provider, command.connection_id, later)
    else:
        await sync(engine, command.connection_id, trigger=command.trigger, asked_at=asked_at)


async def on_link_completed(engine: Engine, command: LinkCompleted, _asked_at: datetime) -> None:
    """See how a link session ended and read what it brought."""
    done = await finish(engine, command.link_session_id, user_id=command.user_id, hint=command.hint)
    if done is None:
        raise PermanentError("there is no such link session of this user")
    if done.busy:
        raise NotNowError(BUSY, wait=BUSY_WAIT)
    await asyncio.gather(*(sync(engine, connection_id, trigger="link") for connection_id in done.fresh))


async def on_remove(engine: Engine, command: RemoveConnection, _asked_at: datetime) -> None:
    """Remove a connection at the provider, then forget its secret."""
    await remove(engine, command)


async def on_configure(engine: Engine, command: ConfigureConnection, _asked_at: datetime) -> None:
    """Change how a connection is kept up to date."""
    await configure(engine, command)


async def on_webhook(engine: Engine, command: WebhookDelivery, _asked_at: datetime) -> None:
    """Do what a webhook asks for."""
    if command.provider != engine.provider:
        raise PermanentError("a delivery for another provider")
    await signals.handle(engine, command)


Handler = Callable[[Engine, Any, datetime], Awaitable[None]]
HANDLERS: dict[type[Command], Handler] = {
    SyncConnection: on_sync,
    ConfigureConnection: on_configure,
    LinkCompleted: on_link_completed,
    RemoveConnection: on_remove,
    WebhookDelivery: on_webhook,
}


async def dispatch(engine: Engine, came: Received) -> None:
    """Hand a command to its handler, in the trace it came with."""
    handler = HANDLERS.get(type(came.message))  # type: ignore[arg-type]  # an event is not in the table
    if handler is None:
        raise PermanentError(f"not a command: {came.type}")
    with tracing.continued(came.traceparent):
        await handler(engine, came.message, came.time)


def consumer(
    engine: Engine, bus: Bus, ledger: AttemptLedger | None, metrics: EventMetrics | None
) -> EachConsumer[Received]:
    """The consumer of the connector's queue."""

    async def handle(came: Received) -> Outcome | None:
        await dispatch(engine, came)
        return None

    return EachConsumer(
        bus,
        connector_queue(engine.provider),
        received,
        handle,
        habits=Habits(
            prefetch=engine.settings.command_concurrency,
            deadline=engine.settings.sync_deadline_seconds + DEADLINE_MARGIN,
            classify=classify,
            ledger=ledger,
            metrics=metrics,
        ),
    )


def classify(error: BaseException) -> Outcome | None:
    """What an error of ours means for the message; None for what the bus' own policy knows."""
    match error:
        case TransientError():
            return Retry(f"{error.code}: {error.message}", error.wait, error=error)
        case ProviderError():
            return Park(f"{error.code}: {error.message}", error)
        case DatabaseUnavailable() | SecretStoreUnavailableError() | BusError():
            return Retry(type(error).__name__, error=error)
        case psycopg.DataError():
            # Text no database takes, such as one with a NUL in it: the next try would meet the same.
            return Park(type(error).__name__, error)
        case _:
            return None
