"""The table ``sync.orphans``: what exists on one side only. Findings; nothing here removes anything."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from psycopg.rows import class_row, dict_row

from contracts.struct import Record
from persistence.database import Database


class Orphan(Record, frozen=True, kw_only=True):
    """Something that exists on one side only.

    ``kind``: ``user`` and ``connection`` exist at the provider and not with us, ``missing`` is a connection of ours
    that the provider does not list, ``secret`` is a connection's secret that belongs to no connection. ``user_id`` is
    ours where it is known, else the provider's. ``external_id`` of a secret is its name in the store.
    """

    orphan_id: str
    kind: str
    user_id: str
    external_user_id: str | None
    external_id: str | None
    found_at: datetime
    seen_at: datetime
    resolved_at: datetime | None
    resolution: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a search found."""

    kind: str
    user_id: str
    external_user_id: str | None
    external_id: str | None

    def orphan_id(self, provider: str) -> str:
        """The same finding has the same id in every search."""
        parts = (provider, self.kind, self.user_id, self.external_user_id or "", self.external_id or "")
        return sha256("\x1f".join(parts).encode()).hexdigest()[:32]


_COLUMNS = (
    "orphan_id, kind, user_id, external_user_id, external_id, found_at, seen_at, resolved_at, resolution"
)


async def record(database: Database, provider: str, findings: list[Finding]) -> None:
    """Keep what a search of everything found; what it did not find any more has resolved itself."""
    ids = [one.orphan_id(provider) for one in findings]
    values = {
        "provider": provider,
        "ids": ids,
        "kinds": [one.kind for one in findings],
        "users": [one.user_id for one in findings],
        "external_users": [one.external_user_id for one in findings],
        "externals": [one.external_id for one in findings],
    }
    async with database.transaction() as conn:
        await conn.execute(_RECORD, values)
        await conn.execute(_RESOLVE, values)


_RECORD = """
INSERT INTO sync.orphans (orphan_id, provider, kind, user_id, external_user_id, external_id)
SELECT DISTINCT ON (id) id, %(provider)s, kind, user_id, external_user, external
  FROM unnest(%(ids)s::text[], %(kinds)s::text[], %(users)s::text[], %(external_users)s::text[],
              %(externals)s::text[]) AS row (id, kind, user_id, external_user, external)
ON CONFLICT (orphan_id) DO UPDATE SET seen_at = clock_timestamp(), resolved_at = NULL, resolution = NULL
"""
_RESOLVE = """
UPDATE sync.orphans SET resolved_at = clock_timestamp(), resolution = 'not found any more'
 WHERE provider = %(provider)s AND resolved_at IS NULL AND NOT orphan_id = ANY(%(ids)s)
"""


async def listed(database: Database, provider: str, *, resolved: bool) -> list[Orphan]:
    """Findings, the newest first; those that are resolved only where asked for."""
    query = f"""SELECT {_COLUMNS} FROM sync.orphans
        WHERE provider = %s AND (%s OR resolved_at IS NULL) ORDER BY found_at DESC, orphan_id LIMIT 1000"""  # noqa: S608 - constants of this module
    async with database.transaction(rows=class_row(Orphan)) as conn:
        return await (await conn.execute(query, (provider, resolved))).fetchall()


async def find(database: Database, provider: str, orphan_id: str) -> Orphan | None:
    """One finding."""
    query = f"SELECT {_COLUMNS} FROM sync.orphans WHERE provider = %s AND orphan_id = %s"  # noqa: S608 - constants of this module
    async with database.transaction(rows=class_row(Orphan)) as conn:
        return await (await conn.execute(query, (provider, orphan_id))).fetchone()


async def resolve(database: Database, orphan_id: str, resolution: str) -> None:
    """Note how a finding ended; the first end counts."""
    async with database.transaction() as conn:
        await conn.execute(
            """UPDATE sync.orphans SET resolved_at = clock_timestamp(), resolution = %s
                WHERE orphan_id = %s AND resolved_at IS NULL""",
            (resolution, orphan_id),
        )


@dataclass(frozen=True, slots=True)
class Ours:
    """What we have of one provider: registered users by the provider's id, connections, secrets in use."""

    users: dict[str, str]
    connections: set[tuple[str, str]]
    secrets: set[str]
    busy: set[str]


async def ours(database: Database, provider: str) -> Ours:
    """What we have; ``connections`` are (user, external id), ``busy`` are users who are linking something now."""
    async with database.transaction(rows=dict_row) as conn:
        users = await (await conn.execute(_USERS, {"provider": provider})).fetchall()
        found = await (await conn.execute(_CONNECTIONS, {"provider": provider})).fetchall()
        busy = await (await conn.execute(_BUSY, {"provider": provider})).fetchall()
    return Ours(
        users={row["external_user_id"]: row["user_id"] for row in users},
        connections={(row["user_id"], row["external_id"]) for row in found},
        secrets={row["secret_name"] for row in found if row["secret_name"] is not None},
        busy={row["user_id"] for row in busy},
    )


_USERS = """
SELECT user_id, external_user_id FROM sync.provider_users
 WHERE provider = %(provider)s AND state = 'registered' AND external_user_id IS NOT NULL
"""
_CONNECTIONS = """
SELECT user_id, external_id, secret_name FROM sync.sync_state
 WHERE provider = %(provider)s AND status <> 'removed' AND unlinked_at IS NULL
"""
# A session that ended a moment ago may have brought what the provider has told of and we have not yet.
_BUSY = """
SELECT user_id FROM sync.link_intents
 WHERE provider = %(provider)s
   AND (status IN ('pending', 'completing') OR settled_at > clock_timestamp() - interval '1 hour')
UNION
SELECT user_id FROM sync.provider_users WHERE provider = %(provider)s AND state = 'registering'
"""
