"""What SnapTrade keeps: clients, users with their one secret, connections, portal sessions."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4

from provider_sandbox.snaptrade.seen import Seen

PORTAL_LIFETIME = timedelta(minutes=5)
ConnectionType = Literal["read", "trade"]


@dataclass(frozen=True, slots=True)
class Client:
    """An API key. A personal key is its own only user."""

    client_id: str
    consumer_key: str
    personal: bool = False


@dataclass(slots=True)
class User:
    """A SnapTrade user of one client. For a personal key `user_id` is the client id and the secret is unused."""

    client_id: str
    user_id: str
    secret: str = field(default_factory=lambda: str(uuid4()))
    connections: dict[str, "Connection"] = field(default_factory=dict)

    def rotate_secret(self) -> None:
        """Replace the secret; the old one is worthless at once."""
        self.secret = str(uuid4())


@dataclass(slots=True)
class Connection:
    """A brokerage authorization. `accounts` maps world account keys to SnapTrade's account ids.

    `seen` is the cache: what the last sync saw of each account. `ready_at` is when the first sync ends.
    """

    user: User
    institution: str
    username: str
    type: ConnectionType
    created: datetime
    ready_at: datetime
    accounts: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid4()))
    updated: datetime | None = None
    disabled_at: datetime | None = None
    refreshed_at: datetime | None = None
    seen: dict[str, Seen] = field(default_factory=dict)


@dataclass(slots=True)
class PortalSession:
    """One use of the connection portal, opened by `login`."""

    user: User
    expires: datetime
    broker: str | None = None
    immediate_redirect: bool = False
    custom_redirect: str | None = None
    reconnect: str | None = None
    connection_type: str = "read"
    dark_mode: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    session_id: str = field(default_factory=lambda: str(uuid4()))
    done: bool = False


class Store:
    """Everything SnapTrade knows about the customers of the sandbox."""

    def __init__(self, clients: list[Client]) -> None:
        self.clients = {client.client_id: client for client in clients}
        self.users: dict[tuple[str, str], User] = {}
        self.sessions: dict[str, PortalSession] = {}
        self.reset()

    def reset(self) -> None:
        """Forget users, connections and sessions; personal keys keep their one user."""
        personal = [client.client_id for client in self.clients.values() if client.personal]
        self.users = {(client_id, client_id): User(client_id, client_id) for client_id in personal}
        self.sessions = {}

    def users_of(self, client_id: str) -> list[User]:
        """The users of a client, oldest first."""
        return [user for (owner, _), user in self.users.items() if owner == client_id]

    def connections(self) -> list[Connection]:
        """Every connection of every user."""
        return [connection for user in self.users.values() for connection in user.connections.values()]

    def connection(self, connection_id: str) -> Connection | None:
        """Find a connection whoever it belongs to."""
        return next((item for item in self.connections() if item.id == connection_id), None)
