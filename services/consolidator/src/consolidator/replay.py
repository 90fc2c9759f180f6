"""What other weights would regroup, from the stored evidence of every user; nothing is changed."""

from collections.abc import AsyncIterator, Sequence

from consolidator import conclude
from consolidator.catalogue import Catalogue
from consolidator.domain.evidence import Evidence
from consolidator.domain.identity import identify
from consolidator.domain.regroup import Regrouped, regroup
from consolidator.domain.values import Decision
from consolidator.domain.weights import Weights
from consolidator.store.activity import load_fingerprints
from consolidator.store.holdings import load_lines
from consolidator.store.loading import Books, load
from consolidator.store.remembered import Remembered
from contracts.struct import Record
from persistence.database import Connection, Database

USERS = 20
"""Read per transaction: their books are locked meanwhile, so that what is read is of one moment."""
READ_ONLY = "SET TRANSACTION READ ONLY"
NEXT_USERS = """SELECT DISTINCT user_id FROM portfolio.accounts
    WHERE user_id > %s AND (%s::text[] IS NULL OR user_id = ANY (%s)) ORDER BY user_id LIMIT %s"""


class Stored(Record, frozen=True, kw_only=True):
    """What is known of a user's accounts."""

    user_id: str
    accounts: tuple[Evidence, ...]
    decisions: tuple[Decision, ...]


class Replayed(Record, frozen=True, kw_only=True):
    """What changes for one user; ``providers`` by account."""

    user_id: str
    pairs: int
    """How many pairs of accounts were compared."""
    providers: dict[str, str]
    changes: Regrouped


async def replay(
    database: Database, current: Weights, other: Weights, users: Sequence[str] | None = None
) -> AsyncIterator[Replayed]:
    """Compare what the stored evidence amounts to under two sets of weights, user by user.

    Args:
        database: as the consolidator's role; it is only read.
        current: the weights in use.
        other: the weights to try.
        users: whom to look at; ``None`` means everybody.

    Raises:
        DatabaseUnavailable: there is no connection to be had.
    """
    async for stored in stored_evidence(database, users):
        before = identify(stored.accounts, stored.decisions, current)
        after = identify(stored.accounts, stored.decisions, other)
        yield Replayed(
            user_id=stored.user_id,
            pairs=len(after.links),
            providers={one.account_id: f"{one.provider}/{one.institution}" for one in stored.accounts},
            changes=regroup(before, after),
        )


async def stored_evidence(database: Database, users: Sequence[str] | None = None) -> AsyncIterator[Stored]:
    """The evidence of each user that has accounts, in the order of their ids."""
    last = ""
    wanted = None if users is None else sorted(set(users))
    catalogue, remembered = Catalogue(), Remembered()
    while True:
        async with database.transaction() as conn:
            await conn.execute(READ_ONLY)
            rows = await (await conn.execute(NEXT_USERS, (last, wanted, wanted, USERS))).fetchall()
            books = await _books(conn, [user for (user,) in rows], catalogue, remembered)
        for user, book in sorted(books.items()):
            accounts = conclude.evidence(book)
            yield Stored(user_id=user, accounts=tuple(accounts), decisions=book.decisions)
        if len(rows) < USERS:
            return
        last = rows[-1][0]


async def _books(conn: Connection, users: list[str], catalogue: Catalogue, remembered: Remembered) -> Books:
    """The books of these users with all that their accounts are compared by."""
    if not users:
        return {}
    books = await load(conn, users)
    compared = {user: accounts for user, book in books.items() if (accounts := conclude.comparable(book))}
    await load_lines(conn, [books[user] for user in compared], catalogue, remembered)
    of = {account_id: user for user, accounts in compared.items() for account_id in sorted(accounts)}
    fingerprints = await load_fingerprints(conn, of)
    for user, accounts in compared.items():
        books[user].fingerprints = {one: fingerprints.get(one, ()) for one in accounts}
    return books
