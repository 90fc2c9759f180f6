"""The table ``gateway.link_sessions``. Every function works inside the caller's transaction, as the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from contracts.linking import LinkProgress
from contracts.statuses import LinkStatus
from persistence.database import Connection

COLUMNS = """user_id, id, institution, institution_name, known_institution, need_trading, provider, reasons,
    policy_version, redirect_uri, reconnect_connection_id, trading_expected, status, reason, connection_ids,
    duplicate_of, created_at, expires_at, updated_at"""


@dataclass(frozen=True, slots=True)
class LinkSession:
    """A link session: what was asked, what was decided, and how it stands."""

    user_id: str
    id: UUID
    institution: str
    institution_name: str
    known_institution: bool
    need_trading: bool
    provider: str
    reasons: list[str]
    policy_version: str
    redirect_uri: str | None
    reconnect_connection_id: UUID | None
    trading_expected: bool
    status: LinkStatus
    reason: str | None
    connection_ids: list[str]
    created_at: datetime
    expires_at: datetime
    updated_at: datetime
    duplicate_of: UUID | None = None

    def __post_init__(self) -> None:
        # PostgreSQL hands over text; everything above speaks in the enum.
        object.__setattr__(self, "status", LinkStatus(self.status))

    @property
    def duplicate(self) -> UUID | None:
        """The connection that the same login had made before: the session failed for it, and that one can be repaired."""
        return self.duplicate_of if self.status is LinkStatus.FAILED else None


async def insert(conn: Connection, session: LinkSession, inputs: Mapping[str, Any]) -> None:
    """Keep a new session, with the inputs of the decision."""
    await conn.execute(
        """INSERT INTO gateway.link_sessions (user_id, id, institution, institution_name, known_institution,
            need_trading, inputs, provider, reasons, policy_version, redirect_uri, reconnect_connection_id,
            trading_expected, status, created_at, expires_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            session.user_id,
            session.id,
            session.institution,
            session.institution_name,
            session.known_institution,
            session.need_trading,
            Jsonb(inputs),
            session.provider,
            Jsonb(session.reasons),
            session.policy_version,
            session.redirect_uri,
            session.reconnect_connection_id,
            session.trading_expected,
            session.status,
            session.created_at,
            session.expires_at,
            session.updated_at,
        ),
    )


async def get(conn: Connection, user_id: str, session_id: UUID) -> LinkSession | None:
    """The user's session of that id."""
    query = f"SELECT {COLUMNS} FROM gateway.link_sessions WHERE user_id = %s AND id = %s"  # noqa: S608 - a constant
    async with conn.cursor(row_factory=class_row(LinkSession)) as cursor:
        await cursor.execute(query, (user_id, session_id))
        return await cursor.fetchone()


async def move(conn: Connection, session: LinkSession, to: LinkProgress, now: datetime) -> LinkSession | None:
    """Bring a session to another state; None when somebody else has moved it in the meantime."""
    query = f"""UPDATE gateway.link_sessions
        SET status = %s, reason = %s, connection_ids = %s, duplicate_of = %s, updated_at = %s
        WHERE user_id = %s AND id = %s AND status = %s RETURNING {COLUMNS}"""  # noqa: S608 - a constant
    values = (
        to.status,
        to.reason,
        Jsonb(to.connection_ids),
        to.duplicate_of,
        now,
        session.user_id,
        session.id,
        session.status,
    )
    async with conn.cursor(row_factory=class_row(LinkSession)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchone()


async def take_turn(conn: Connection, session: LinkSession, now: datetime, every: timedelta) -> bool:
    """Whether it is time to ask the provider about this session; among all processes, one gets the turn."""
    found = await conn.execute(
        """UPDATE gateway.link_sessions SET checked_at = %s
        WHERE user_id = %s AND id = %s AND (checked_at IS NULL OR checked_at <= %s)""",
        (now, session.user_id, session.id, now - every),
    )
    return found.rowcount == 1
