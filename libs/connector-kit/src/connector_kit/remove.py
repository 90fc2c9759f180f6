"""Removing a connection: first at the provider, then its secret, then the word is spread.

An item that is forgotten here but lives at the provider costs money every month, so the secret that can remove
it is kept until the provider has said that it is gone.
"""

import structlog

from connector_kit import connections, credentials
from connector_kit.connections import Connection
from connector_kit.engine import Engine
from connector_kit.publish import publish
from contracts.errors import GoneError
from contracts.messages import ConnectionStatusChanged, RemoveConnection
from contracts.statuses import ConnectionStatus
from messaging.policy import PermanentError

log = structlog.get_logger(__name__)


async def remove(engine: Engine, command: RemoveConnection) -> None:
    """Remove a connection; one that is removed already stays so.

    Raises:
        ProviderError: the provider did not remove it; nothing is lost, ask again.
        PermanentError: it is another user's.
    """
    connection = await connections.find(engine.database, engine.provider, command.connection_id)
    if connection is None:
        log.info("connection.removed_already", provider=engine.provider)
        return
    if connection.user_id != command.user_id:
        raise PermanentError("the connection is not this user's")
    if await connections.retire(engine.database, connection.connection_id) is None:
        return
    await _unlink(engine, connection)
    await credentials.forget(engine, connection)
    # Once more: the provider's own word of the removal may have begun a run meanwhile, and ours must be the newer one.
    version = await connections.retire(engine.database, connection.connection_id)
    if version is None:
        return
    await publish(
        engine,
        ConnectionStatusChanged(
            user_id=connection.user_id,
            provider=engine.provider,
            connection_id=connection.connection_id,
            status=ConnectionStatus.REMOVED,
            reason=command.reason,
            provider_code=None,
            changed_at=engine.clock.now(),
            version=version,
        ),
    )
    await connections.mark_removed(engine.database, connection.connection_id)
    log.info("connection.removed", provider=engine.provider, connection_id=connection.connection_id)


async def _unlink(engine: Engine, connection: Connection) -> None:
    if connection.unlinked:
        return
    try:
        await engine.adapter.unlink(await credentials.access(engine, connection))
    except GoneError:
        log.info("connection.gone_already", provider=engine.provider)
    await connections.mark_unlinked(engine.database, connection.connection_id)
