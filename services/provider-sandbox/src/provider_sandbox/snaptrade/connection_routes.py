"""Connections ("authorizations") and what can be done to them."""

from math import ceil
from typing import Any

from provider_sandbox.snaptrade import accounts, errors
from provider_sandbox.snaptrade.endpoint import Endpoint
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.gate import SignedCall
from provider_sandbox.snaptrade.store import Connection
from provider_sandbox.traffic import note


def _body(face: SnapTradeFace, connection: Connection) -> dict[str, Any]:
    return accounts.connection_body(connection, face.institution(connection), realtime=face.realtime)


def new_accounts(face: SnapTradeFace, connection: Connection, *, live: bool = True) -> list[dict[str, Any]]:
    """The connection's accounts in the newer shape; not `live`: as of the last sync on every plan."""
    return [new_account(face, connection, key, live=live) for key in connection.accounts]


def old_accounts(face: SnapTradeFace, connection: Connection, *, live: bool = True) -> list[dict[str, Any]]:
    """The connection's accounts in the older shape."""
    return [old_account(face, connection, key, live=live) for key in connection.accounts]


def new_account(
    face: SnapTradeFace, connection: Connection, key: str, *, live: bool = True
) -> dict[str, Any]:
    """One account in the newer shape."""
    seen = face.view(connection, key, live=live)
    synced, first = face.synced(connection, seen), face.timeline(connection, seen).first_day()
    return accounts.connection_account(connection, seen, face.institution(connection), synced, first)


def old_account(
    face: SnapTradeFace, connection: Connection, key: str, *, live: bool = True
) -> dict[str, Any]:
    """One account in the older shape."""
    seen = face.view(connection, key, live=live)
    synced, first = face.synced(connection, seen), face.timeline(connection, seen).first_day()
    return accounts.old_account(connection, seen, face.institution(connection), synced, first)


def list_connections(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`GET /authorizations`."""
    return [_body(face, connection) for connection in call.user.connections.values()]


def one_connection(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /authorizations/{authorizationId}`."""
    return _body(face, face.find_connection(call, call.path("authorizationId")))


def accounts_of_connection(face: SnapTradeFace, call: SignedCall) -> dict[str, Any]:
    """`GET /connections/{connectionId}/accounts`, newer shape in an object."""
    return {"results": new_accounts(face, face.find_connection(call, call.path("connectionId")))}


def accounts_of_authorization(face: SnapTradeFace, call: SignedCall) -> list[dict[str, Any]]:
    """`GET /authorizations/{authorizationId}/accounts`, older shape in a bare list."""
    return old_accounts(face, face.find_connection(call, call.path("authorizationId")))


def refresh(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`POST /authorizations/{authorizationId}/refresh`: queues a sync and costs money when accepted."""
    connection = face.find_connection(call, call.path("authorizationId"))
    if connection.disabled_at is not None:
        raise errors.disabled()
    if face.realtime:
        raise errors.not_enabled()
    _check_pause(face, connection)
    connection.refreshed_at = face.now()
    note(call.request, billable="refresh")
    face.state.spawn(face.sync(connection))
    return {"detail": f"Connection {connection.id} scheduled for refresh"}


def _check_pause(face: SnapTradeFace, connection: Connection) -> None:
    if connection.refreshed_at is None:
        return
    since = (face.now() - connection.refreshed_at).total_seconds()
    left = face.settings.snaptrade_refresh_seconds - since
    if left > 0:
        raise errors.refreshed_too_recently(ceil(left))


def sync_transactions(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`POST /authorizations/{authorizationId}/transactions/sync`: finds nothing new, so no event follows."""
    connection = face.find_connection(call, call.path("authorizationId"))
    if connection.disabled_at is not None:
        raise errors.disabled()
    return {"detail": f"Connection {connection.id} scheduled for transactions sync"}


def disable(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`POST /authorizations/{authorizationId}/disable`: breaks the connection as if by nature."""
    connection = face.find_connection(call, call.path("authorizationId"))
    if connection.disabled_at is not None:
        raise errors.already_disabled()
    connection.disabled_at = face.now()
    face.state.spawn(face.disable(connection))
    return {"detail": f"Connection {connection.id} has been disabled"}


def delete(face: SnapTradeFace, call: SignedCall) -> dict[str, str]:
    """`DELETE /connection/{connectionId}`: queued, done at CONNECTION_DELETED."""
    connection = face.find_connection(call, call.path("connectionId"))
    face.state.spawn(face.delete_connection(connection))
    return {"detail": "Connection queued for deletion.", "connection_id": connection.id}


ENDPOINTS = (
    Endpoint("GET", "/authorizations", list_connections),
    Endpoint("GET", "/authorizations/{authorizationId}", one_connection),
    Endpoint("GET", "/authorizations/{authorizationId}/accounts", accounts_of_authorization),
    Endpoint("POST", "/authorizations/{authorizationId}/refresh", refresh),
    Endpoint("POST", "/authorizations/{authorizationId}/transactions/sync", sync_transactions),
    Endpoint("POST", "/authorizations/{authorizationId}/disable", disable),
    Endpoint("GET", "/connections/{connectionId}/accounts", accounts_of_connection),
    Endpoint("DELETE", "/connection/{connectionId}", delete),
)
