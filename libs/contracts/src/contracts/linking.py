"""Linking: the flow in which a user grants access, and what comes out of it."""

from datetime import datetime

from msgspec import field

from contracts.statuses import ConnectionStatus, LinkStatus
from contracts.struct import Record


class LinkRequest(Record, frozen=True, kw_only=True):
    """Ask a connector to begin a link session.

    ``institution_ref`` is the provider's own name of the institution (a SnapTrade brokerage slug, a Plaid
    institution id) from the coverage file, ``None`` to let the user choose at the provider.
    ``reconnect_connection_id`` is our id of a connection to repair instead of making one.
    """

    link_session_id: str
    user_id: str
    institution: str | None
    institution_ref: str | None
    need_trading: bool
    allow_trading: bool
    """Whether coverage allows trading here: a connection is asked to trade only where it does."""
    redirect_uri: str | None
    reconnect_connection_id: str | None = None


class LinkStart(Record, frozen=True, kw_only=True):
    """Where to send the user. ``url`` and ``link_token`` are credentials: never logged, never stored in clear."""

    url: str
    expires_at: datetime
    link_token: str | None = None


class LinkProgress(Record, frozen=True, kw_only=True):
    """How a link session stands, as the connector knows it."""

    status: LinkStatus
    connection_ids: list[str]
    reason: str | None = None
    duplicate_of: str | None = None
    """Our id of the connection that the same login made before: repair it instead of making another."""


class UserAccess(Record, frozen=True, kw_only=True):
    """The provider's user and its secret, where the provider keeps one (SnapTrade); both are opaque."""

    external_user_id: str
    secret: str | None

    def __repr__(self) -> str:
        return "UserAccess(…)"


class ConnectionAccess(Record, frozen=True, kw_only=True):
    """All an adapter needs to read one connection; ``secret`` where the provider keeps one per connection.

    ``user_id`` is ours; account ids are derived from it.
    """

    user_id: str
    external_id: str
    user: UserAccess | None
    secret: str | None

    def __repr__(self) -> str:
        return "ConnectionAccess(…)"


class BeginLink(Record, frozen=True, kw_only=True):
    """What an adapter needs to begin a link; ``reconnect`` names the connection to repair."""

    request: LinkRequest
    user: UserAccess | None
    reconnect: ConnectionAccess | None
    webhook_url: str | None


class LinkBegun(Record, frozen=True, kw_only=True):
    """What an adapter says after beginning a link; ``session_token`` is what it needs to finish it."""

    start: LinkStart
    session_token: str | None

    def __repr__(self) -> str:
        return "LinkBegun(…)"


class KnownAccount(Record, frozen=True, kw_only=True):
    """An account the user has already linked through this provider, as far as it helps to recognise the login."""

    external_connection_id: str
    institution_ref: str | None
    name: str | None
    mask: str | None
    raw_type: str | None


class FinishLink(Record, frozen=True, kw_only=True):
    """What an adapter needs to see how a link session ended.

    ``known`` are the external ids of connections this user already had when the session began.
    ``hint`` is the external connection id someone claims came out of it: never believed, only looked up.
    """

    session_token: str | None
    user: UserAccess | None
    known: frozenset[str]
    done: frozenset[str] = frozenset()
    """The ``source`` of every connection of this session that is already stored: never exchanged again."""
    reconnect_external_id: str | None = None
    need_trading: bool = False
    """Whether the session was begun to get a connection that trades: a repair is done when it does."""
    hint: str | None = None
    accounts: list[KnownAccount] = field(default_factory=list)
    """What is linked already: a second login to the same accounts is refused before it costs anything."""
    begun_at: datetime | None = None
    """When the session began. Of the connections in ``known``, one that was linked or changed since may be handed
    over too, where the provider shows it: the same login linked again keeps its connection."""


class LinkedConnection(Record, frozen=True, kw_only=True):
    """One connection that came out of a link session; its secret must be stored before anything else."""

    external_id: str
    secret: str | None
    institution_ref: str | None
    institution_name: str | None
    connection_type: str
    """``read`` or ``trade``."""
    source: str | None = None
    """A digest of the one-time token it was made from, where there is one."""
    accounts: list[KnownAccount] = field(default_factory=list)
    """What the session says of its accounts: the login is known by them until they are listed."""

    def __repr__(self) -> str:
        return f"LinkedConnection({self.external_id!r}, …)"


class LinkOutcome(Record, frozen=True, kw_only=True):
    """How a session stands when it has no (further) connection to hand over."""

    status: LinkStatus
    reason: str | None = None
    duplicate_of: str | None = None
    """The external id of the connection that the user should repair instead (reason ``ALREADY_LINKED``)."""


class ConnectionState(Record, frozen=True, kw_only=True):
    """How a connection stands at the provider right now.

    ``data_as_of`` is when the provider last fetched from the institution; ``data_ready`` is false while
    its first fetch is still running. ``mark`` is opaque: while it is what it was, nothing of the connection has
    changed and no further question is needed. ``repair_by`` is when access will end unless the user renews it.
    """

    status: ConnectionStatus
    connection_type: str
    realtime: bool
    data_as_of: datetime | None
    data_ready: bool
    institution_ref: str | None = None
    institution_name: str | None = None
    reason: str | None = None
    provider_code: str | None = None
    mark: str | None = None
    repair_by: datetime | None = None
