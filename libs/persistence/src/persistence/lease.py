"""Leases: one worker at a time per row, with a fencing token that outlives sleepy workers.

The table, whatever else it holds, has these columns:

    lease_owner text            who holds it
    lease_until timestamptz     until when, by the database's clock
    fence bigint NOT NULL DEFAULT 0     grows with every claim, never falls
    <due> timestamptz           when there is something to do; NULL means never

A claim takes rows that are due and free. The fence it returns is the version of everything done under it: a write
with a smaller fence comes from a worker that lost its lease without noticing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql

from persistence.database import Connection


class LeaseLostError(Exception):
    """The row was claimed by somebody else since, or is gone; nothing more may be written for it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A claimed row: its key, who holds it, its fencing token, and until when."""

    key: tuple[Any, ...]
    owner: str
    fence: int
    until: datetime


class Leases:
    """Claims rows of one table.

    Args:
        table: qualified name (`sync.sync_state`).
        key: its key columns.
        due: the column that says when a row is due.
    """

    def __init__(self, table: str, key: Sequence[str] = ("id",), due: str = "next_sync_at") -> None:
        self._names: dict[str, sql.Composable] = {
            "table": sql.Identifier(*table.split(".")),
            "due": sql.Identifier(due),
            "key": sql.SQL(", ").join(sql.Identifier("t", column) for column in key),
            "bare": sql.SQL(", ").join(sql.Identifier(column) for column in key),
            "same": sql.SQL(" AND ").join(
                sql.SQL("t.{0} = due.{0}").format(sql.Identifier(column)) for column in key
            ),
            "this": sql.SQL(" AND ").join(
                sql.SQL("t.{} = %s").format(sql.Identifier(column)) for column in key
            ),
        }

    async def claim(
        self,
        conn: Connection,
        owner: str,
        duration: timedelta,
        limit: int,
        where: Mapping[str, Any] | None = None,
    ) -> list[Lease]:
        """Claim rows that are due and free, the longest due first; rows others are claiming are passed over.

        Args:
            conn: a transaction; the claim counts from its commit.
            owner: the worker's name, for people.
            duration: after which the lease ends by itself.
            limit: at most this many rows.
            where: further columns and their values (`{"provider": "plaid"}`).
        """
        also = where or {}
        conditions = sql.SQL("").join(
            sql.SQL(" AND {} = %s").format(sql.Identifier(column)) for column in also
        )
        statement = self._named(_CLAIM, also=conditions)
        cursor = await conn.execute(statement, (*also.values(), limit, owner, duration))
        return [_lease(owner, row) for row in await cursor.fetchall()]

    async def claim_one(
        self, conn: Connection, owner: str, duration: timedelta, key: Sequence[Any]
    ) -> Lease | None:
        """Claim one row whether due or not; None while another worker holds it, or where there is no such row."""
        cursor = await conn.execute(self._named(_CLAIM_ONE), (owner, duration, *key))
        row = await cursor.fetchone()
        return _lease(owner, row) if row else None

    async def renew(self, conn: Connection, lease: Lease, duration: timedelta) -> Lease:
        """Hold it for longer.

        Raises:
            LeaseLostError: somebody claimed it since. (One that merely ran out, unclaimed, can be renewed.)
        """
        cursor = await conn.execute(self._named(_RENEW), (duration, *lease.key, lease.fence, lease.owner))
        row = await cursor.fetchone()
        if row is None:
            raise LeaseLostError("the lease is no longer ours")
        return replace(lease, until=row[0])

    async def guard(self, conn: Connection, lease: Lease) -> None:
        """Make sure, for the rest of the transaction, that the lease is ours: call it before writing.

        Raises:
            LeaseLostError: somebody claimed the row since, or it is gone.
        """
        cursor = await conn.execute(self._named(_GUARD), (*lease.key, lease.fence))
        if await cursor.fetchone() is None:
            raise LeaseLostError("the lease is no longer ours")

    async def release(self, conn: Connection, lease: Lease, next_due: timedelta | None = None) -> bool:
        """Give it back; False if somebody claimed it since, which changes nothing.

        Args:
            conn: a transaction.
            lease: what was claimed.
            next_due: when the row is due again, from now by the database's clock; None leaves that as it is.
        """
        cursor = await conn.execute(self._named(_RELEASE), (next_due, *lease.key, lease.fence))
        return cursor.rowcount == 1

    def _named(self, statement: LiteralString, **more: sql.Composable) -> sql.Composed:
        return sql.SQL(statement).format(**self._names, **more)


def _lease(owner: str, row: Sequence[Any]) -> Lease:
    *key, fence, until = row
    return Lease(tuple(key), owner, fence, until)


_CLAIM: LiteralString = """
WITH due AS (
    SELECT {bare} FROM {table}
    WHERE {due} <= clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp()){also}
    ORDER BY {due} LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE {table} AS t SET lease_owner = %s, lease_until = clock_timestamp() + %s::interval, fence = t.fence + 1
FROM due WHERE {same}
RETURNING {key}, t.fence, t.lease_until
"""
_CLAIM_ONE: LiteralString = """
UPDATE {table} AS t SET lease_owner = %s, lease_until = clock_timestamp() + %s::interval, fence = t.fence + 1
WHERE {this} AND (t.lease_until IS NULL OR t.lease_until <= clock_timestamp())
RETURNING {key}, t.fence, t.lease_until
"""
_RENEW: LiteralString = """
UPDATE {table} AS t SET lease_until = clock_timestamp() + %s::interval
WHERE {this} AND t.fence = %s AND t.lease_owner = %s
RETURNING t.lease_until
"""
_GUARD: LiteralString = "SELECT 1 FROM {table} AS t WHERE {this} AND t.fence = %s FOR UPDATE"
_RELEASE: LiteralString = """
UPDATE {table} AS t SET lease_owner = NULL, lease_until = NULL,
    {due} = coalesce(clock_timestamp() + %s::interval, t.{due})
WHERE {this} AND t.fence = %s
"""
