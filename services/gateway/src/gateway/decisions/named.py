"""The table ``gateway.portfolios``. Every function works inside the caller's transaction, as the user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.decisions.names import key_of
from persistence.database import Connection

COLUMNS = "portfolio_id, name, account_ids, version, deleted, created_at, updated_at"


@dataclass(frozen=True, slots=True)
class Named:
    """A named portfolio; it holds every real account that one of ``account_ids`` is a sight of."""

    portfolio_id: UUID
    name: str
    account_ids: list[str]
    version: int
    deleted: bool
    created_at: datetime
    updated_at: datetime


async def get(conn: Connection, user_id: str, portfolio_id: UUID) -> Named | None:
    """The user's portfolio of that id, dropped or not."""
    query = f"SELECT {COLUMNS} FROM gateway.portfolios WHERE user_id = %s AND portfolio_id = %s"  # noqa: S608 - a constant
    async with conn.cursor(row_factory=class_row(Named)) as cursor:
        await cursor.execute(query, (user_id, portfolio_id))
        return await cursor.fetchone()


async def insert(conn: Connection, user_id: str, named: Named) -> None:
    """Keep a new portfolio."""
    await conn.execute(
        """INSERT INTO gateway.portfolios (user_id, portfolio_id, name, name_key, account_ids, version, deleted,
            created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            user_id,
            named.portfolio_id,
            named.name,
            key_of(named.name),
            Jsonb(named.account_ids),
            named.version,
            named.deleted,
            named.created_at,
            named.updated_at,
        ),
    )


async def update(conn: Connection, user_id: str, named: Named) -> None:
    """Keep a portfolio as it is now."""
    await conn.execute(
        """UPDATE gateway.portfolios SET name = %s, name_key = %s, account_ids = %s, version = %s, deleted = %s,
            updated_at = %s WHERE user_id = %s AND portfolio_id = %s""",
        (
            named.name,
            key_of(named.name),
            Jsonb(named.account_ids),
            named.version,
            named.deleted,
            named.updated_at,
            user_id,
            named.portfolio_id,
        ),
    )


async def count(conn: Connection, user_id: str) -> int:
    """How many named portfolios the user has."""
    cursor = await conn.execute(
        "SELECT count(*) FROM gateway.portfolios WHERE user_id = %s AND NOT deleted", (user_id,)
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


async def known(conn: Connection, user_id: str) -> Sequence[str]:
    """The ids of the user's named portfolios that the consolidator knows: those it will sum when asked."""
    cursor = await conn.execute(
        """SELECT p.portfolio_id FROM gateway.portfolios p JOIN portfolio.v_portfolios k
            ON k.user_id = p.user_id AND k.portfolio_id = p.portfolio_id AND NOT k.deleted
        WHERE p.user_id = %s AND NOT p.deleted ORDER BY p.name_key""",
        (user_id,),
    )
    return [str(row[0]) for row in await cursor.fetchall()]


async def of_name(conn: Connection, user_id: str, name: str) -> UUID | None:
    """The portfolio that has a name, in whatever case."""
    cursor = await conn.execute(
        "SELECT portfolio_id FROM gateway.portfolios WHERE user_id = %s AND name_key = %s AND NOT deleted",
        (user_id, key_of(name)),
    )
    row = await cursor.fetchone()
    return None if row is None else UUID(str(row[0]))


async def applied(conn: Connection, user_id: str, portfolio_id: UUID, version: int) -> bool:
    """Whether the consolidator knows this version of a portfolio, and has summed it unless it was dropped."""
    cursor = await conn.execute(
        """SELECT 1 FROM portfolio.v_portfolios p
        WHERE p.user_id = %s AND p.portfolio_id = %s AND p.version >= %s AND (p.deleted OR EXISTS (
            SELECT 1 FROM portfolio.v_portfolio_versions v
            WHERE v.user_id = p.user_id AND v.portfolio_id = p.portfolio_id))""",
        (user_id, portfolio_id, version),
    )
    return await cursor.fetchone() is not None
