"""The table ``sync.sync_state``: one row per connection, its lease, its fence and its next run.

All times of leases and schedules are the database's: replicas whose clocks disagree still agree on them.

Fences come from one sequence for all connections, so that versions order also what two connections say of one
account. A number is drawn only in the statement that holds the row, which keeps each connection's fence rising: a
statement that had to wait for the row is evaluated anew by PostgreSQL, and draws again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row, dict_row, scalar_row

from connector_kit import breaker
from connector_kit.policy import Next
from contracts.linking import LinkedConnection
from contracts.statuses import ConnectionStatus
from persistence.database import Database


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known of a connection."""

    connection_id: str
    user_id: str
    external_id: str
    institution: str
    institution_name: str | None
    connection_type: str
    status: ConnectionStatus
    fence: int
    secret_name: str | None
    external_user_id: str | None
    user_has_secret: bool
    frequency_seconds: int
    failures: int
    unlinked: bool
    repair_by: datetime | None
    repair_told: datetime | None

    def __post_init__(self) -> None:
        # PostgreSQL hands over text; everything above speaks in the enum.
        object.__setattr__(self, "status", ConnectionStatus(self.status))


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one sync: whoever claims later has a higher fence, and only the last can save."""

    connection: Connection
    holder: str

    @property
    def version(self) -> int:
        """The version of everything this run publishes."""
        return self.connection.fence


@dataclass(frozen=True, slots=True)
class Linked:
    """What recording a linked connection gave."""

    connection: Connection
    created: bool


COLUMNS = """
    s.connection_id, s.user_id, s.external_id, s.institution, s.institution_name, s.connection_type, s.status,
    s.fence, s.secret_name, s.frequency_seconds, s.failures, s.unlinked_at IS NOT NULL AS unlinked, s.repair_by,
    s.repair_told,
    (SELECT u.external_user_id FROM sync.provider_users u
      WHERE u.provider = s.provider AND u.user_id = s.user_id) AS external_user_id,
    COALESCE((SELECT u.has_secret FROM sync.provider_users u
      WHERE u.provider = s.provider AND u.user_id = s.user_id), false) AS user_has_secret
"""
TAKE = """
    fence = nextval('sync.versions'), lease_holder = %(holder)s, started_at = clock_timestamp(),
    lease_until = clock_timestamp() + %(lease)s, next_sync_at = clock_timestamp() + %(lease)s
"""
_FREE = "(s.lease_until IS NULL OR s.lease_until < clock_timestamp())"


async def claim(
    database: Database,
    provider: str,
    connection_id: str,
    *,
    holder: str,
    lease: timedelta,
    asked_at: datetime | None,
    spacing: timedelta = timedelta(0),
) -> Claim | None:
    """Claim a connection for one run; None when nothing is to be done here and now.

    A run that started after ``asked_at`` (None: this moment) has served the request. While another run is going on,
    or the last one that found data began less than ``spacing`` ago, the wish is noted and the scheduler serves it.
    """
    found = {"provider": provider, "id": connection_id, "holder": holder, "lease": lease}
    wish = {"asked_at": asked_at, "spacing": spacing}
    async with database.transaction(rows=class_row(Connection)) as conn:
        cursor = await conn.execute(_CLAIM, {**found, **wish})
        row = await cursor.fetchone()
        if row is None:
            await conn.execute(_WISH, {**found, **wish})
    return Claim(row, holder) if row else None


_CLAIM = f"""
UPDATE sync.sync_state s SET {TAKE}
 WHERE s.connection_id = %(id)s AND s.provider = %(provider)s AND s.status <> 'removed' AND {_FREE}
   AND (s.started_at IS NULL OR %(asked_at)s::timestamptz IS NULL OR s.started_at < %(asked_at)s)
   AND (s.started_at IS NULL OR s.last_synced_at IS NULL
        OR s.started_at <= clock_timestamp() - %(spacing)s)
RETURNING {COLUMNS}
"""  # noqa: S608 - built from constants of this module
_WISH = """
UPDATE sync.sync_state s
   SET wanted_at = GREATEST(s.wanted_at, COALESCE(%(asked_at)s, clock_timestamp())),
       next_sync_at = LEAST(s.next_sync_at, s.started_at + %(spacing)s)
 WHERE s.connection_id = %(id)s AND s.provider = %(provider)s AND s.status <> 'removed'
   AND s.started_at < COALESCE(%(asked_at)s, clock_timestamp())
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a run learned about a connection; None where it learned nothing."""

    status: ConnectionStatus
    connection_type: str | None = None
    institution_name: str | None = None
    synced_at: datetime | None = None
    as_of: datetime | None = None
    realtime: bool | None = None
    error_code: str | None = None
    repair_by: datetime | None = None
    repair_told: datetime | None = None


async def save(database: Database, done: Claim, found: Found, following: Next) -> bool:
    """Record how a run ended and let the lease go; False when somebody else holds the lease by now."""
    values = {
        "id": done.connection.connection_id,
        "holder": done.holder,
        "status": found.status,
        "connection_type": found.connection_type,
        "institution_name": found.institution_name,
        "synced_at": found.synced_at,
        "as_of": found.as_of,
        "realtime": found.realtime,
        "error_code": found.error_code,
        "repair_by": found.repair_by,
        "repair_told": found.repair_told,
        "failures": following.failures,
        "paused": following.paused,
        "wait": following.wait,
    }
    async with database.transaction() as conn:
        row = await (await conn.execute(_SAVE, values)).fetchone()
        if row is not None:
            await breaker.note(conn, row[0], done.connection.institution, found.error_code)
        return row is not None


_SAVE = """
UPDATE sync.sync_state s
   SET lease_holder = NULL, lease_until = NULL, status = %(status)s, failures = %(failures)s,
       paused_reason = %(paused)s,
       connection_type = COALESCE(%(connection_type)s, s.connection_type),
       institution_name = COALESCE(%(institution_name)s, s.institution_name),
       last_synced_at = COALESCE(%(synced_at)s, s.last_synced_at),
       last_as_of = COALESCE(%(as_of)s, s.last_as_of),
       realtime = COALESCE(%(realtime)s, s.realtime), error_code = %(error_code)s,
       repair_by = COALESCE(%(repair_by)s, CASE WHEN s.repair_by > clock_timestamp() THEN s.repair_by END),
       repair_told = %(repair_told)s,
       next_sync_at = CASE WHEN s.wanted_at > s.started_at THEN GREATEST(clock_timestamp(), s.wanted_at)
                           WHEN s.configured_at > s.started_at AND %(status)s = 'active' AND %(failures)s = 0
                           THEN clock_timestamp() + LEAST(%(wait)s::interval, make_interval(secs => s.frequency_seconds))
                           ELSE clock_timestamp() + %(wait)s::interval END
 WHERE s.connection_id = %(id)s AND s.lease_holder = %(holder)s
RETURNING s.provider
"""


async def renew(database: Database, claimed: Claim, lease: timedelta) -> bool:
    """Hold a claim for longer; False when somebody else has it by now."""
    async with database.transaction() as conn:
        cursor = await conn.execute(
            """UPDATE sync.sync_state
                  SET lease_until = clock_timestamp() + %(lease)s, next_sync_at = clock_timestamp() + %(lease)s
                WHERE connection_id = %(id)s AND lease_holder = %(holder)s""",
            {"lease": lease, "id": claimed.connection.connection_id, "holder": claimed.holder},
        )
        return cursor.rowcount == 1


async def release(database: Database, claimed: Claim) -> None:
    """Give a claim back as if it had not been made: whoever asked can ask again at once, and the wish stands.

    It was claimed for a reason, also where the connection does not sync by itself.
    """
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.sync_state
                  SET lease_holder = NULL, lease_until = NULL, started_at = NULL,
                      wanted_at = GREATEST(wanted_at, clock_timestamp()),
                      next_sync_at = clock_timestamp() + interval '1 minute'
                WHERE connection_id = %s AND lease_holder = %s""",
            (claimed.connection.connection_id, claimed.holder),
        )


@dataclass(frozen=True, slots=True)
class NewConnection:
    """A connection to be recorded."""

    connection_id: str
    provider: str
    user_id: str
    institution: str
    secret_name: str | None
    linked: LinkedConnection
    frequency_seconds: int


async def record(database: Database, new: NewConnection) -> Linked:
    """Record a connection that a link session brought; one that is known is active again.

    A known one gets two new versions, its fence and the number before it, for two events; whoever was reading it
    lost its lease.
    """
    values = {
        "id": new.connection_id,
        "provider": new.provider,
        "user_id": new.user_id,
        "external_id": new.linked.external_id,
        "institution": new.institution,
        "institution_name": new.linked.institution_name,
        "connection_type": new.linked.connection_type,
        "secret_name": new.secret_name,
        "frequency": new.frequency_seconds,
    }
    async with database.transaction(rows=dict_row) as conn:
        row = await (await conn.execute(_RECORD, values)).fetchone()
    if row is None:
        raise RuntimeError("an insert returned nothing")
    created = bool(row.pop("created"))
    return Linked(Connection(**row), created=created)


_RECORD = f"""
INSERT INTO sync.sync_state AS s (
    connection_id, provider, user_id, external_id, institution, institution_name, connection_type, status,
    secret_name, fence, frequency_seconds, next_sync_at)
VALUES (%(id)s, %(provider)s, %(user_id)s, %(external_id)s, %(institution)s, %(institution_name)s,
    %(connection_type)s, 'active', %(secret_name)s, nextval('sync.versions'), %(frequency)s, clock_timestamp() + interval '1 minute')
ON CONFLICT (connection_id) DO UPDATE
   SET status = 'active', fence = nextval('sync.versions'), failures = 0, paused_reason = NULL, unlinked_at = NULL,
       connection_type = EXCLUDED.connection_type,
       institution_name = COALESCE(EXCLUDED.institution_name, s.institution_name),
       secret_name = COALESCE(EXCLUDED.secret_name, s.secret_name),
       lease_holder = NULL, lease_until = NULL, started_at = NULL, repair_by = NULL, repair_told = NULL,
       auto_sync = s.auto_sync OR s.status = 'removed',
       next_sync_at = clock_timestamp() + interval '1 minute'
RETURNING {COLUMNS}, s.xmax = 0 AS created
"""  # noqa: S608 - built from constants of this module


async def find(database: Database, provider: str, connection_id: str) -> Connection | None:
    """The connection of that id."""
    rows = await _find(database, "s.connection_id = %(value)s", provider, connection_id)
    return rows[0] if rows else None


async def by_external_id(database: Database, provider: str, external_id: str) -> list[Connection]:
    """The connections the provider calls by that id: one, unless two users were given the same."""
    return await _find(database, "s.external_id = %(value)s", provider, external_id)


async def by_external_user(database: Database, provider: str, external_user_id: str) -> list[Connection]:
    """All connections of the provider's user."""
    condition = """s.user_id IN (SELECT u.user_id FROM sync.provider_users u
        WHERE u.provider = %(provider)s AND u.external_user_id = %(value)s)"""
    return await _find(database, condition, provider, external_user_id)


async def _find(database: Database, condition: str, provider: str, value: str) -> list[Connection]:
    query = f"""
        SELECT {COLUMNS} FROM sync.sync_state s
         WHERE s.provider = %(provider)s AND s.status <> 'removed' AND {condition}
         ORDER BY s.connection_id"""  # noqa: S608 - built from constants of this module
    async with database.transaction(rows=class_row(Connection)) as conn:
        return await (await conn.execute(query, {"provider": provider, "value": value})).fetchall()


async def retire(database: Database, connection_id: str) -> int | None:
    """Take a connection out of every run's hands before it is removed; its new version, or None if it is gone."""
    async with database.transaction(rows=scalar_row) as conn:
        cursor = await conn.execute(
            """UPDATE sync.sync_state
                  SET fence = nextval('sync.versions'), lease_holder = NULL, lease_until = NULL, next_sync_at = NULL,
                      auto_sync = false
                WHERE connection_id = %s AND status <> 'removed' RETURNING fence""",
            (connection_id,),
        )
        return await cursor.fetchone()


async def mark_unlinked(database: Database, connection_id: str) -> None:
    """Note that the provider has removed the connection."""
    async with database.transaction() as conn:
        await conn.execute(
            "UPDATE sync.sync_state SET unlinked_at = clock_timestamp() WHERE connection_id = %s",
            (connection_id,),
        )


async def mark_removed(database: Database, connection_id: str) -> None:
    """Note that a connection is no more; the row stays, so that nothing late can bring it back."""
    async with database.transaction() as conn:
        await conn.execute(
            "UPDATE sync.sync_state SET status = 'removed', secret_name = NULL WHERE connection_id = %s",
            (connection_id,),
        )
        # Linked again, it begins from the beginning: what was read of it is forgotten everywhere.
        await conn.execute("DELETE FROM sync.streams WHERE connection_id = %s", (connection_id,))
        await conn.execute("DELETE FROM sync.accounts WHERE connection_id = %s", (connection_id,))


async def postpone(database: Database, provider: str, connection_id: str, until: datetime) -> None:
    """Wish for a run no sooner than ``until``, besides whatever is planned."""
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.sync_state
                  SET wanted_at = GREATEST(wanted_at, %(until)s), next_sync_at = LEAST(next_sync_at, %(until)s)
                WHERE provider = %(provider)s AND connection_id = %(id)s AND status <> 'removed'""",
            {"provider": provider, "id": connection_id, "until": until},
        )


async def expires(database: Database, connection_id: str, repair_by: datetime | None) -> None:
    """Note when access to a connection will end, or that nothing of the kind is known any more; the next run tells."""
    async with database.transaction() as conn:
        await conn.execute(
            "UPDATE sync.sync_state SET repair_by = %s WHERE connection_id = %s AND status <> 'removed'",
            (repair_by, connection_id),
        )
