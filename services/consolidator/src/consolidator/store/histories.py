"""Histories: the complete snapshots of an account that are kept, so that a late one finds its place among them."""

from collections.abc import Iterable
from typing import Any

from consolidator.book import Book
from consolidator.domain.numbers import ZERO
from consolidator.domain.values import History, Line, Sight, Worth
from consolidator.store.loading import lines_of
from contracts.decisions import SnapshotJudged
from contracts.holdings import HoldingsSnapshot
from persistence.database import Connection as Session

SIGHTINGS = """SELECT account_id::text, version, content_hash, as_of, synced_at, holdings, trim_scale(value),
    value_currency, unpriced, payload::text, base
    FROM portfolio.sightings WHERE user_id = ANY (%s) AND account_id = ANY (%s::uuid[])
    ORDER BY user_id, account_id, version"""


def needing_history(messages: Iterable[Any], books: dict[str, Book]) -> dict[str, Book]:
    """The accounts whose snapshots may have to be folded again because of these messages, with their books."""
    return {
        message.account_id: books[message.user_id]
        for message in messages
        if isinstance(message, SnapshotJudged)
        or (isinstance(message, HoldingsSnapshot) and _is_late(message, books[message.user_id]))
    }


async def load_histories(conn: Session, wanted: dict[str, Book]) -> None:
    """Bring the histories of these accounts into their books, whose current holdings are in memory."""
    if not wanted:
        return
    users = sorted({book.user_id for book in wanted.values()})
    rows = await (await conn.execute(SIGHTINGS, (users, sorted(wanted)))).fetchall()
    of: dict[str, list[Any]] = {account_id: [] for account_id in wanted}
    for account_id, *row in rows:
        of[account_id].append(row)
    for account_id, book in wanted.items():
        contents = _contents(book, account_id, of[account_id])
        sights = {row[0]: _sight(row, contents) for row in of[account_id]}
        sights |= {sight.version: sight for sight in _known(book, account_id)}
        floor = max((row[0] for row in of[account_id] if row[-1]), default=0)
        book.histories[account_id] = History(sights=tuple(sights.values()), floor=floor)


def _is_late(message: HoldingsSnapshot, book: Book) -> bool:
    """Whether it is neither the next by version nor a repetition of what is known."""
    version = message.clocks.version
    held = book.holding(message.account_id)
    return (
        message.complete and version <= held.folded and book.known_hash(message.account_id, version) is None
    )


def _contents(book: Book, account_id: str, rows: list[Any]) -> dict[str, tuple[Line, ...]]:
    """The lines of every content of the account, by hash, wherever they are stored."""
    contents = {row[1]: lines_of(row[8]) for row in rows if row[8]}
    known = {sight.content_hash: sight.lines for sight in _known(book, account_id)}
    return contents | {content_hash: lines for content_hash, lines in known.items() if lines is not None}


def _known(book: Book, account_id: str) -> list[Sight]:
    """What is counted and what is quarantined."""
    held = book.holding(account_id)
    sights = (held.current, held.quarantine.sight if held.quarantine else None)
    return [sight for sight in sights if sight is not None]


def _sight(row: Any, contents: dict[str, tuple[Line, ...]]) -> Sight:
    version, content_hash, as_of, synced_at, holdings, value, currency, unpriced, _, _ = row
    return Sight(
        version=version,
        content_hash=content_hash,
        as_of=as_of,
        synced_at=synced_at,
        holdings=holdings,
        worth=Worth(currency=currency, value=value or ZERO, unpriced=unpriced, empty=holdings == 0),
        lines=() if holdings == 0 else contents[content_hash],
    )
