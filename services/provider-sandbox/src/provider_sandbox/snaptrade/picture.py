"""What SnapTrade remembers as plain values, for the state file, and how it is put back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from provider_sandbox.snaptrade import trading_picture
from provider_sandbox.snaptrade.face import SnapTradeFace
from provider_sandbox.snaptrade.seen import Seen, look
from provider_sandbox.snaptrade.store import Connection, ConnectionType, PortalSession, User
from provider_sandbox.snaptrade.timeline import Changes
from provider_sandbox.world import Account, Security, World


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """What a sync saw, as the difference to the world of now: None and no securities where nothing differs."""

    at: datetime
    version: int
    account: Account | None
    securities: tuple[Security, ...]


@dataclass(frozen=True, slots=True)
class ConnectionPicture:
    """A connection without its user."""

    id: str
    institution: str
    username: str
    type: ConnectionType
    created: datetime
    ready_at: datetime
    accounts: dict[str, str]
    updated: datetime | None
    disabled_at: datetime | None
    refreshed_at: datetime | None
    seen: dict[str, SeenPicture]


@dataclass(frozen=True, slots=True)
class UserPicture:
    """A user with their connections."""

    client_id: str
    user_id: str
    secret: str
    connections: tuple[ConnectionPicture, ...]


@dataclass(frozen=True, slots=True)
class SessionPicture:
    """A portal session that can still be finished."""

    client_id: str
    user_id: str
    expires: datetime
    broker: str | None
    immediate_redirect: bool
    custom_redirect: str | None
    reconnect: str | None
    connection_type: str
    dark_mode: bool
    token: str
    session_id: str


@dataclass(frozen=True, slots=True)
class SnapTradePicture:
    """The face: settings changed by control, users, open portal sessions, changed histories by account key."""

    settings: dict[str, str | bool | int | float]
    users: tuple[UserPicture, ...]
    sessions: tuple[SessionPicture, ...]
    changes: dict[str, Changes] = field(default_factory=dict)
    trading: trading_picture.TradingPicture | None = None


def take(face: SnapTradeFace) -> SnapTradePicture:
    """Return what the face remembers."""
    now = face.now()
    alive = [s for s in face.store.sessions.values() if not s.done and now < s.expires]
    return SnapTradePicture(
        settings=face.changed_settings(),
        users=tuple(_user(face, user) for user in face.store.users.values()),
        sessions=tuple(_session(session) for session in alive),
        changes=dict(face.changes),
        trading=trading_picture.take(face.trading),
    )


def put_back(face: SnapTradeFace, picture: SnapTradePicture) -> None:
    """Fill a face that was just built; raises ValueError or KeyError when its settings or data do not fit."""
    face.configure(**picture.settings)
    trading_picture.put_back(face.trading, picture.trading)
    face.changes.update(picture.changes)
    users = face.store.users
    for kept in picture.users:
        if kept.client_id not in face.store.clients:
            raise ValueError(f"it holds users of the SnapTrade client id {kept.client_id}")
        users[kept.client_id, kept.user_id] = _put_back_user(face, kept)
    for session in picture.sessions:
        values = _values(session) | {"user": users[session.client_id, session.user_id]}
        del values["client_id"], values["user_id"]
        face.store.sessions[session.token] = PortalSession(**values)


def _values(item: Any) -> dict[str, Any]:
    """The fields of a dataclass with slots; `dataclasses.fields` would be slow for thousands of them."""
    return {name: getattr(item, name) for name in item.__slots__}


def _user(face: SnapTradeFace, user: User) -> UserPicture:
    connections = tuple(_connection(face, connection) for connection in user.connections.values())
    return UserPicture(user.client_id, user.user_id, user.secret, connections)


def _connection(face: SnapTradeFace, connection: Connection) -> ConnectionPicture:
    values = _values(connection)
    del values["user"]
    values["seen"] = {key: _seen(face.state.world, seen) for key, seen in connection.seen.items()}
    return ConnectionPicture(**values)


def _seen(world: World, seen: Seen) -> SeenPicture:
    if seen.version == world.version:
        return SeenPicture(seen.at, seen.version, None, ())
    same = world.accounts[seen.account.key] is seen.account
    changed = tuple(s for key, s in seen.securities.items() if s is not world.securities[key])
    return SeenPicture(seen.at, seen.version, None if same else seen.account, changed)


def _session(session: PortalSession) -> SessionPicture:
    values = _values(session) | {"client_id": session.user.client_id, "user_id": session.user.user_id}
    del values["user"], values["done"]
    return SessionPicture(**values)


def _put_back_user(face: SnapTradeFace, picture: UserPicture) -> User:
    user = User(picture.client_id, picture.user_id, picture.secret)
    for kept in picture.connections:
        values = _values(kept) | {"seen": _put_back_seen(face.state.world, kept.seen)}
        user.connections[kept.id] = Connection(user=user, **values)
    return user


def _put_back_seen(world: World, pictures: Mapping[str, SeenPicture]) -> dict[str, Seen]:
    restored = {}
    for key, picture in pictures.items():
        seen = look(_as_it_was(world, key, picture), key, picture.at)
        seen.version = picture.version
        restored[key] = seen
    return restored


def _as_it_was(world: World, key: str, picture: SeenPicture) -> World:
    if picture.account is None and not picture.securities:
        return world
    then = {} if picture.account is None else {key: picture.account}
    securities = {security.key: security for security in picture.securities}
    return replace(world, accounts=world.accounts | then, securities=world.securities | securities)
