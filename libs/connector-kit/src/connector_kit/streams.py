"""The table ``sync.streams``: what a run read of each stream of a connection, and how far.

A mark is what the provider said of a stream when it was last read whole; while it says the same, nothing need be
fetched. A cursor is the adapter's. Both are written only after the broker has everything they stand for, and only by
the run that still holds the connection's lease: whoever lost it moves nothing back.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg.rows import class_row

from connector_kit.connections import Claim
from persistence.database import Database

WHOLE = ""
"""Stands for the connection as a whole where an account's id would."""
NOT_SUPPORTED = "not_supported"
"""The mark of a stream that the institution does not have."""


class Stream(StrEnum):
    """What can be read."""

    STATE = "state"
    HOLDINGS = "holdings"
    TRANSACTIONS = "transactions"
    ORDERS = "orders"
    HISTORY = "history"


ANYTHING = frozenset({Stream.HOLDINGS, Stream.ORDERS})
"""What is fetched again when somebody wants to see what is there now; transactions are asked for by their cursor."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of one stream of one account."""

    account_id: str
    stream: str
    mark: str | None = None
    cursor: str | None = None
    read_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Where it is found in ``Notes``."""
        return self.account_id, self.stream


Notes = dict[tuple[str, str], Note]


async def load(database: Database, connection_id: str) -> Notes:
    """Everything noted of a connection."""
    async with database.transaction(rows=class_row(Note)) as conn:
        cursor = await conn.execute(
            "SELECT account_id, stream, mark, cursor, read_at FROM sync.streams WHERE connection_id = %s",
            (connection_id,),
        )
        return {note.key: note for note in await cursor.fetchall()}


async def save(database: Database, claimed: Claim, notes: Sequence[Note]) -> int:
    """Keep what a run has read; how many of the notes were kept.

    None are when somebody else holds the lease by now, and not those that were forgotten since the run began.
    """
    if not notes:
        return 0
    values = {
        "id": claimed.connection.connection_id,
        "holder": claimed.holder,
        "version": claimed.version,
        "accounts": [note.account_id for note in notes],
        "streams": [str(note.stream) for note in notes],
        "marks": [note.mark for note in notes],
        "cursors": [note.cursor for note in notes],
        "read_at": [note.read_at for note in notes],
    }
    async with database.transaction() as conn:
        return (await conn.execute(_SAVE, values)).rowcount


# The lock holds off whoever would take the connection over until this is written.
_SAVE = """
WITH mine AS (
    SELECT s.connection_id, s.user_id FROM sync.sync_state s
     WHERE s.connection_id = %(id)s AND s.lease_holder = %(holder)s FOR SHARE)
INSERT INTO sync.streams AS t (connection_id, account_id, stream, user_id, mark, cursor, read_at, version)
SELECT m.connection_id, n.account_id, n.stream, m.user_id, n.mark, n.cursor, n.read_at, %(version)s
  FROM mine m, unnest(%(accounts)s::text[], %(streams)s::text[], %(marks)s::text[], %(cursors)s::text[],
       %(read_at)s::timestamptz[]) AS n (account_id, stream, mark, cursor, read_at)
ON CONFLICT (connection_id, account_id, stream) DO UPDATE
   SET mark = EXCLUDED.mark, cursor = EXCLUDED.cursor, read_at = EXCLUDED.read_at, version = EXCLUDED.version
 WHERE t.version <= EXCLUDED.version
"""


async def forget(
    database: Database, connection_id: str, streams: Collection[str], account_id: str | None = None
) -> None:
    """Have the next run fetch these streams again, of one account or of all, whatever the provider says of them.

    A run that is going on cannot undo it: it may have read before the news. Cursors stay.
    """
    values = {"id": connection_id, "streams": [str(stream) for stream in streams], "account": account_id}
    async with database.transaction() as conn:
        await conn.execute(_FORGET, values)


# The connection's row is locked first, as everywhere: two that forget at once would lock each other's rows.
_FORGET = f"""
WITH one AS MATERIALIZED (
    SELECT s.connection_id FROM sync.sync_state s WHERE s.connection_id = %(id)s FOR NO KEY UPDATE)
UPDATE sync.streams t
   SET mark = NULL, version = nextval('sync.versions'),
       read_at = CASE WHEN t.stream = '{Stream.HISTORY}' THEN NULL ELSE t.read_at END
  FROM one
 WHERE t.connection_id = one.connection_id
   AND (t.stream = '{Stream.STATE}'
        OR (t.stream = ANY(%(streams)s) AND t.stream <> '{Stream.TRANSACTIONS}'
            AND t.mark IS DISTINCT FROM '{NOT_SUPPORTED}'
            AND (%(account)s::text IS NULL OR t.account_id = %(account)s)))
"""  # noqa: S608 - built from constants of this module
