"""Secrets in PostgreSQL under envelope encryption: a data key per user, wrapped by a master key outside."""

import uuid
from typing import Any, LiteralString

import structlog
from psycopg import sql
from pydantic import SecretStr

from persistence.database import Connection, Database
from persistence.secrets.keys import KeyRing, Place, new_data_key, seal, unseal
from persistence.secrets.names import SecretName
from persistence.secrets.port import Secret, SecretNotFoundError

log = structlog.get_logger(__name__)

REWRAP_BATCH = 200


class PostgresSecrets:
    """A store of secrets in the tables of `tables_sql`.

    Nothing decrypted is kept. Every call raises `DatabaseUnavailable` while the database is away, and
    `MasterKeyMissingError` where a master key is needed that this process was not given.
    """

    def __init__(self, database: Database, keys: KeyRing, schema: str = "sync") -> None:
        self._database = database
        self._keys = keys
        self._names = {
            "secrets": sql.Identifier(schema, "secrets"),
            "deks": sql.Identifier(schema, "deks"),
        }

    async def get(self, name: SecretName, *, previous: bool = False) -> Secret:
        """Read the newest version, or the one before it.

        Raises:
            SecretNotFoundError: there is none.
            cryptography.exceptions.InvalidTag: the row was altered or moved.
        """
        async with self._database.transaction() as conn:
            row = await self._one(conn, _GET, name.path, int(previous))
        if row is None:
            raise SecretNotFoundError("no such secret")
        secret_id, user_id, version, nonce, ciphertext, dek_id, kek_id, wrapped = row
        data_key = self._keys.unwrap(kek_id, bytes(wrapped), user_id, str(dek_id))
        place = Place(user_id, name.path, str(secret_id), str(dek_id), version)
        return Secret(SecretStr(unseal(data_key, bytes(nonce), bytes(ciphertext), place)), version)

    async def put(self, name: SecretName, value: SecretStr) -> int:
        """Write a new version and return its number; the version before it is kept, older ones go."""

        async def work() -> int:
            async with self._database.transaction() as conn:
                return await self._put(conn, name, value.get_secret_value())

        return await self._database.retrying(work)

    async def delete(self, name: SecretName) -> bool:
        """Remove all versions; False where there were none."""
        async with self._database.transaction() as conn:
            cursor = await conn.execute(self._named(_DELETE), (name.path,))
            return cursor.rowcount > 0

    async def names(self, prefix: str) -> list[SecretName]:
        """The names whose path begins with these whole parts (`plaid/access_token/u1`), sorted."""
        start = prefix.rstrip("/")
        async with self._database.transaction() as conn:
            cursor = await conn.execute(self._named(_LIST), (start, start, f"{start}/"))
            return sorted((SecretName.parse(row[0]) for row in await cursor.fetchall()), key=lambda n: n.path)

    async def shred(self, user_id: str) -> bool:
        """Forget everything of a user: without the data key, backups cannot be read either."""
        async with self._database.transaction() as conn:
            return (await conn.execute(self._named(_SHRED), (user_id,))).rowcount > 0

    async def rewrap(self, batch: int = REWRAP_BATCH) -> int:
        """Wrap all data keys with the current master key; returns how many were not before.

        Works beside readers and beside other processes doing the same; may be cut short and run again. When it
        returned, older master keys can be dropped.
        """
        total = 0
        while done := await self._rewrap_batch(batch):
            total += done
        log.info("secrets.rewrapped", data_keys=total, kek=self._keys.current)
        return total

    async def check(self) -> None:
        """Make sure that every master key in use was given; to be called when a process starts.

        Raises:
            MasterKeyMissingError: one was not.
        """
        async with self._database.transaction() as conn:
            for row in await (await conn.execute(self._named(_ONE_PER_KEK))).fetchall():
                dek_id, user_id, kek_id, wrapped = row
                self._keys.unwrap(kek_id, bytes(wrapped), user_id, str(dek_id))

    async def _put(self, conn: Connection, name: SecretName, value: str) -> int:
        user_id = name.user_id or ""
        # One writer per name at a time, or two would take the same version number.
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name.path,))
        dek_id, data_key = await self._data_key(conn, user_id)
        row = await self._one(conn, _LATEST, name.path)
        version = (row[0] if row else 0) + 1
        place = Place(user_id, name.path, str(uuid.uuid4()), dek_id, version)
        nonce, ciphertext = seal(data_key, value, place)
        values = (place.secret_id, user_id, name.path, version, dek_id, nonce, ciphertext)
        await conn.execute(self._named(_PUT), values)
        await conn.execute(self._named(_PRUNE), (name.path, version - 1))
        return version

    async def _data_key(self, conn: Connection, user_id: str) -> tuple[str, bytes]:
        """The user's data key, made on first use."""
        row = await self._one(conn, _DEK, user_id)
        if row is None:
            dek_id = str(uuid.uuid4())
            kek_id, wrapped = self._keys.wrap(new_data_key(), user_id, dek_id)
            await conn.execute(self._named(_NEW_DEK), (dek_id, user_id, kek_id, wrapped))
            # Another writer may have been first; then its key counts.
            row = await self._one(conn, _DEK, user_id)
        if row is None:
            raise SecretNotFoundError("the user's data key was deleted meanwhile")
        found, kek_id, wrapped = row
        return str(found), self._keys.unwrap(kek_id, bytes(wrapped), user_id, str(found))

    async def _rewrap_batch(self, batch: int) -> int:
        async with self._database.transaction() as conn:
            cursor = await conn.execute(self._named(_STALE), (self._keys.current, batch))
            rows = await cursor.fetchall()
            if not rows:
                return 0
            wrapped = []
            for dek_id, user_id, kek_id, old in rows:
                data_key = self._keys.unwrap(kek_id, bytes(old), user_id, str(dek_id))
                wrapped.append(self._keys.wrap(data_key, user_id, str(dek_id))[1])
            ids = [row[0] for row in rows]
            await conn.execute(self._named(_REWRAP), (self._keys.current, ids, wrapped))
            return len(rows)

    async def _one(self, conn: Connection, statement: LiteralString, *values: Any) -> Any:
        return await (await conn.execute(self._named(statement), values)).fetchone()

    def _named(self, statement: LiteralString) -> sql.Composed:
        return sql.SQL(statement).format(**self._names)


_GET: LiteralString = """
SELECT s.id, s.user_id, s.version, s.nonce, s.ciphertext, d.id, d.kek_id, d.wrapped
FROM {secrets} AS s JOIN {deks} AS d ON d.id = s.dek_id
WHERE s.name = %s ORDER BY s.version DESC LIMIT 1 OFFSET %s
"""
_LATEST: LiteralString = "SELECT max(version) FROM {secrets} WHERE name = %s HAVING count(*) > 0"
_PUT: LiteralString = """
INSERT INTO {secrets} (id, user_id, name, version, dek_id, nonce, ciphertext) VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_PRUNE: LiteralString = "DELETE FROM {secrets} WHERE name = %s AND version < %s"
_DELETE: LiteralString = "DELETE FROM {secrets} WHERE name = %s"
_LIST: LiteralString = (
    "SELECT DISTINCT name FROM {secrets} WHERE %s = '' OR name = %s OR starts_with(name, %s)"
)
_SHRED: LiteralString = "DELETE FROM {deks} WHERE user_id = %s"
_DEK: LiteralString = "SELECT id, kek_id, wrapped FROM {deks} WHERE user_id = %s FOR KEY SHARE"
_NEW_DEK: LiteralString = """
INSERT INTO {deks} (id, user_id, kek_id, wrapped) VALUES (%s, %s, %s, %s) ON CONFLICT (user_id) DO NOTHING
"""
_STALE: LiteralString = """
SELECT id, user_id, kek_id, wrapped FROM {deks} WHERE kek_id <> %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_REWRAP: LiteralString = """
UPDATE {deks} AS d SET kek_id = %s, wrapped = n.wrapped, wrapped_at = clock_timestamp()
FROM unnest(%s::uuid[], %s::bytea[]) AS n(id, wrapped) WHERE d.id = n.id
"""
_ONE_PER_KEK: LiteralString = """
SELECT DISTINCT ON (kek_id) id, user_id, kek_id, wrapped FROM {deks} ORDER BY kek_id, id
"""
