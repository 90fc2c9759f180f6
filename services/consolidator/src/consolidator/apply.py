"""Applying a batch: lock the users, load their books, let the rules work, write what changed, commit."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

from consolidator import conclude, publish
from consolidator.admission import classify, refused
from consolidator.book import Book
from consolidator.catalogue import Catalogue
from consolidator.handlers import HANDLERS
from consolidator.measures import Measures
from consolidator.records import RECORDS, Records
from consolidator.rules import Rules
from consolidator.store.holdings import load_lines
from consolidator.store.loading import Books, load
from consolidator.store.positions import Digests, compare, load_digests
from consolidator.store.saving import Changes, write
from contracts.envelope import Received
from contracts.holdings import HoldingsSnapshot
from contracts.ids import portfolio_id
from contracts.messages import Event
from messaging.bus import Outgoing
from messaging.policy import DONE, Outcome, TransientError, outcome_of
from messaging.publishing import outgoing_event
from persistence import outbox
from persistence.database import Connection as Session
from persistence.database import Database, DatabaseUnavailable
from service_kit.clock import Clock

SCHEMA = "portfolio"
SPLIT_FROM = 8
"""A batch of at least this many users is applied in lanes: one computes while another's statements run."""


@dataclass(slots=True)
class Work:
    """One transaction's worth of messages, and what came of it."""

    messages: list[Any]
    users: list[str]
    outcomes: list[Outcome] = field(default_factory=list)
    before: Books = field(default_factory=dict)
    books: Books = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    announced: list[Event] = field(default_factory=list)
    instruments: set[str] = field(default_factory=set)


class Applier:
    """Turns batches of messages into committed positions. Safe to repeat and to run in many processes.

    Args:
        database: as the consolidator's role.
        lanes: transactions a large batch may be split into, by user.
    """

    def __init__(
        self, database: Database, rules: Rules, clock: Clock, measures: Measures, *, lanes: int = 2
    ) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock
        self._measures = measures
        self._lanes = lanes
        self._catalogue = Catalogue()

    async def __call__(self, batch: Sequence[Received]) -> list[Outcome]:
        """Apply messages; returns one outcome each, in order.

        Raises:
            TransientError: the database is away; nothing may be called done.
            psycopg.Error: a statement failed; the caller tries the messages one by one.
        """
        began = perf_counter()
        outcomes: list[Outcome] = [refused(one.message) or DONE for one in batch]
        admitted = [place for place, outcome in enumerate(outcomes) if outcome is DONE]
        lanes = _split([(place, batch[place].message) for place in admitted], self._lanes)
        works = await asyncio.gather(
            *(self._committed([batch[place].message for place in lane]) for lane in lanes),
            return_exceptions=True,
        )
        for lane, work in zip(lanes, works, strict=True):
            if isinstance(work, BaseException):
                raise work
            for place, outcome in zip(lane, work.outcomes, strict=True):
                outcomes[place] = outcome
        self._measures.batch(len(batch), perf_counter() - began)
        return outcomes

    async def touch(self, users: Sequence[str]) -> None:
        """Look at these users again although no message came: a source grows too old by itself."""
        await self._committed([], sorted(set(users)))

    async def _committed(self, messages: list[Any], users: list[str] | None = None) -> Work:
        """Apply messages in one transaction, again as a whole if the database asks for it."""
        names = sorted({message.user_id for message in messages}) if users is None else users

        async def once() -> Work:
            work = Work(messages, names)
            async with self._database.transaction() as conn:
                await self._transact(conn, work)
            return work

        try:
            work = await self._database.retrying(once)
        except DatabaseUnavailable as error:
            raise TransientError("the database is away") from error
        self._catalogue.saved(work.instruments)
        return work

    async def _transact(self, conn: Session, work: Work) -> None:
        now = self._clock.now()
        work.books = await load(conn, work.users)
        await load_lines(conn, _with_news(work), self._catalogue)
        work.before = {user: book.copy() for user, book in work.books.items()}
        self._handle(work)
        await self._conclude(conn, work, now)
        await self._sum(conn, work, now)
        await self._write(conn, work, now)
        self._measures.books(((work.before[user], book) for user, book in work.books.items()), now)

    def _handle(self, work: Work) -> None:
        records = Records()
        for message in work.messages:
            work.outcomes.append(self._handled(message, work.books[message.user_id], records))
        records.into(work.changes)

    def _handled(self, message: Any, book: Book, records: Records) -> Outcome:
        try:
            if handler := HANDLERS.get(type(message)):
                handler(message, book, self._catalogue, self._rules)
            else:
                RECORDS[type(message)](message, records)
        except Exception as error:  # noqa: BLE001  one bad message must not take its neighbours with it
            return outcome_of(error, classify)
        return DONE

    async def _conclude(self, conn: Session, work: Work, now: datetime) -> None:
        grey = [
            user
            for user, book in work.books.items()
            if conclude.needs_lines_to_identify(work.before[user], book)
        ]
        await self._load_rest(conn, work, grey)
        for user, book in work.books.items():
            conclude.conclude(work.before[user], book, self._rules, now)

    async def _sum(self, conn: Session, work: Work, now: datetime) -> None:
        touched = [
            user for user, book in work.books.items() if conclude.positions_changed(work.before[user], book)
        ]
        await self._load_rest(conn, work, touched)
        stored = await _stored_digests(conn, work, touched)
        for user in touched:
            self._sum_one(work, user, stored[user], now)

    def _sum_one(self, work: Work, user: str, stored: Digests, now: datetime) -> None:
        book = work.books[user]
        positions = conclude.positions(book, self._rules)
        found = compare(user, portfolio_id(user), stored, positions)
        if found:
            book.version += 1
            work.changes.positions(user, found, book.version, len(positions))
            work.announced.append(publish.consolidated(book, found, positions.values(), now))
            self._measures.positions(new=len(found.new), changed=len(found.changed), removed=len(found.gone))

    async def _load_rest(self, conn: Session, work: Work, users: list[str]) -> None:
        """Load the lines that were not needed so far, into the books before and after alike."""
        missing = [user for user in users if not work.books[user].lines_loaded]
        if not missing:
            return
        await load_lines(conn, [work.before[user] for user in missing], self._catalogue)
        for user in missing:
            work.books[user].take_lines(work.before[user])

    async def _write(self, conn: Session, work: Work, now: datetime) -> None:
        for user, book in work.books.items():
            work.changes.book(work.before[user], book)
            work.announced += publish.findings(work.before[user], book)
        missing = self._catalogue.unsaved(work.changes.instruments_used())
        work.changes.instruments(missing)
        work.instruments = {ref.instrument_id for ref, _ in missing}
        messages: list[Outgoing] = [
            outgoing_event(event, source=publish.SOURCE, time=now) for event in work.announced
        ]
        async with conn.pipeline():
            await write(conn, work.changes.statements(now.isoformat()))
            await outbox.add(conn, SCHEMA, messages)


def _split(messages: list[tuple[int, Any]], lanes: int) -> list[list[int]]:
    """Places by lane; all of one user's messages are in one lane, in their order."""
    users: dict[str, list[int]] = {}
    for place, message in messages:
        users.setdefault(message.user_id, []).append(place)
    count = lanes if len(users) >= SPLIT_FROM else 1
    found: list[list[int]] = [[] for _ in range(count)]
    for number, places in enumerate(users.values()):
        found[number % count] += places
    return [sorted(places) for places in found if places]


def _with_news(work: Work) -> list[Book]:
    """The books whose holdings a message may change, so that old and new can be compared."""
    users = {
        message.user_id
        for message in work.messages
        if isinstance(message, HoldingsSnapshot) and _is_news(message, work.books[message.user_id])
    }
    return [work.books[user] for user in sorted(users)]


def _is_news(message: HoldingsSnapshot, book: Book) -> bool:
    current = book.holding(message.account_id).current
    return current is not None and current.content_hash != message.content_hash


async def _stored_digests(conn: Session, work: Work, users: list[str]) -> dict[str, Digests]:
    """The digests of stored positions; a portfolio that never changed has none."""
    known = [user for user in users if work.books[user].version > 0]
    found: dict[str, Digests] = {user: {} for user in users}
    if known:
        found |= await load_digests(conn, {user: portfolio_id(user) for user in known})
    return found
