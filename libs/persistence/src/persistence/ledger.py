"""The attempt ledger: how often a message was begun, counted where a crash cannot undo the count."""

from typing import LiteralString

from psycopg import sql

from persistence.database import Database
from persistence.rls import identifier


def create_sql(schema: str) -> str:
    """The statement that creates a schema's ledger; a migration of its owner executes it."""
    return f"""
CREATE TABLE {identifier(schema)}.attempts (
    consumer text NOT NULL,
    event_id text NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);
"""


class PostgresLedger:
    """The ledger of messaging's consumers (its `AttemptLedger`), in a schema of the consumer's owner."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._attempts = sql.Identifier(schema, "attempts")

    async def begin(self, consumer: str, event_id: str) -> int:
        """Note, committed before the work, that a try begins; returns how many have begun, this one included."""
        async with self._database.transaction() as conn:
            cursor = await conn.execute(self._named(_BEGIN), (consumer, event_id))
            row = await cursor.fetchone()
        return int(row[0]) if row else 1

    async def done(self, consumer: str, event_id: str) -> None:
        """Forget the message: its try came to an end, whatever the result."""
        async with self._database.transaction() as conn:
            await conn.execute(self._named(_DONE), (consumer, event_id))

    def _named(self, statement: LiteralString) -> sql.Composed:
        return sql.SQL(statement).format(attempts=self._attempts)


_BEGIN: LiteralString = """
INSERT INTO {attempts} AS a (consumer, event_id) VALUES (%s, %s)
ON CONFLICT (consumer, event_id) DO UPDATE SET attempts = a.attempts + 1, begun_at = clock_timestamp()
RETURNING attempts
"""
_DONE: LiteralString = "DELETE FROM {attempts} WHERE consumer = %s AND event_id = %s"
