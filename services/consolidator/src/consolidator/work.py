"""One transaction's worth of work: load the users' books, let the rules work, write what changed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from consolidator import conclude, publish
from consolidator.admission import classify
from consolidator.book import Book
from consolidator.catalogue import Catalogue
from consolidator.domain.numbers import ZERO
from consolidator.handlers import HANDLERS
from consolidator.records import RECORDS, Records
from consolidator.rules import Rules
from consolidator.store.activity import load_fingerprints
from consolidator.store.activity_tables import PORTFOLIO_HISTORY
from consolidator.store.arrays import Row, truth
from consolidator.store.histories import load_histories, needing_history
from consolidator.store.holdings import load_lines
from consolidator.store.loading import Books, load
from consolidator.store.positions import PositionChanges, compare, load_digests
from consolidator.store.remembered import Digests, Remembered
from consolidator.store.saving import Changes, Statement
from contracts.accounts import Snapshot
from contracts.holdings import HoldingsSnapshot
from contracts.messages import CurrencyTotal, Event
from messaging.policy import DONE, Outcome, outcome_of
from messaging.publishing import outgoing_event
from persistence import outbox
from persistence.database import Connection as Session

SCHEMA = "portfolio"


@dataclass(slots=True)
class Work:
    """What one transaction is to do, and what came of it."""

    messages: list[Any]
    users: list[str]
    catalogue: Catalogue
    remembered: Remembered
    rules: Rules
    now: datetime
    outcomes: list[Outcome] = field(default_factory=list)
    before: Books = field(default_factory=dict)
    books: Books = field(default_factory=dict)
    found: dict[str, PositionChanges] = field(default_factory=dict)
    """What became of the positions of the portfolios that were summed anew."""
    announced: list[Event] = field(default_factory=list)
    instruments: set[str] = field(default_factory=set)
    """Those that this transaction wrote."""

    async def run(self, conn: Session) -> None:
        """Do it, inside the caller's transaction.

        The server writes what was seen while Python still sums what follows from it.
        """
        self.books = await load(conn, self.users)
        retold = needing_history(self.messages, self.books)
        news = {book.user_id: book for book in (*_with_news(self.messages, self.books), *retold.values())}
        await load_lines(conn, news.values(), self.catalogue, self.remembered)
        await load_histories(conn, retold)
        self.before = {user: book.copy() for user, book in self.books.items()}
        await self._record(conn, self._handle())
        await self._conclude(conn)
        stored = await self._stored(conn)
        async with conn.pipeline():
            await _write(conn, self._seen())
            await _write(conn, self._summed(stored))
            outgoing = [outgoing_event(one, source=publish.SOURCE, time=self.now) for one in self.announced]
            await outbox.add(conn, SCHEMA, outgoing)

    def remember(self) -> None:
        """Keep what is committed now, for the next batch that needs it."""
        self.catalogue.saved(self.instruments)
        for user, book in self.books.items():
            for portfolio, version in book.versions.items():
                if portfolio in self.found:
                    self.remembered.keep_digests(portfolio, version, self.found[portfolio].digests)
            for account_id, held in book.held.items():
                one = held.current
                if one and one.lines is not None and held is not self.before[user].held.get(account_id):
                    self.remembered.keep_lines(account_id, one.content_hash, one.lines)

    def _handle(self) -> Records:
        records = Records()
        self.outcomes = [DONE] * len(self.messages)
        # In the order of their versions, no snapshot of a batch is late because of another one.
        for place in sorted(range(len(self.messages)), key=lambda place: _version(self.messages[place])):
            message = self.messages[place]
            self.outcomes[place] = self._handled(message, self.books[message.user_id], records)
        return records

    def _handled(self, message: Any, book: Book, records: Records) -> Outcome:
        try:
            if handler := HANDLERS.get(type(message)):
                handler(message, book, self.catalogue, self.rules)
            else:
                RECORDS[type(message)](message, records)
        except Exception as error:  # noqa: BLE001  one bad message must not take its neighbours with it
            return outcome_of(error, classify)
        return DONE

    async def _record(self, conn: Session, records: Records) -> None:
        changes = Changes()
        for user in await records.into(conn, changes):
            self.books[user].retold = True
        await _write(conn, changes.statements(self.now.isoformat()))

    async def _conclude(self, conn: Session) -> None:
        changed = {
            user for user, book in self.books.items() if conclude.evidence_changed(self.before[user], book)
        }
        compared = {user: accounts for user in changed if (accounts := conclude.comparable(self.books[user]))}
        await self._load_rest(conn, list(compared))
        of = {account_id: user for user, accounts in compared.items() for account_id in sorted(accounts)}
        fingerprints = await load_fingerprints(conn, of)
        for user, book in self.books.items():
            book.fingerprints = {one: fingerprints.get(one, ()) for one in compared.get(user, ())}
            conclude.conclude(book, self.rules, self.now, anew=user in changed)

    async def _stored(self, conn: Session) -> dict[str, dict[str, Digests]]:
        """The digests of the stored positions of portfolios that must be summed anew, by user and portfolio."""
        touched = [
            user for user, book in self.books.items() if conclude.positions_changed(self.before[user], book)
        ]
        await self._load_rest(conn, touched)
        digests: dict[str, Digests] = {}
        unknown = {}
        for user in touched:
            book = self.books[user]
            for portfolio in book.all_portfolios():
                version = book.versions.get(portfolio, 0)
                # A portfolio that never changed has no positions; on demand, only what is stored counts.
                known = None if book.requests else self.remembered.digests(portfolio, version)
                known = known if version else {}
                if known is None:
                    unknown[portfolio] = user
                else:
                    digests[portfolio] = known
        digests |= await load_digests(conn, unknown) if unknown else {}
        return {user: {one: digests[one] for one in self.books[user].all_portfolios()} for user in touched}

    async def _load_rest(self, conn: Session, users: list[str]) -> None:
        """Load the lines that were not needed so far, into the books before and after alike."""
        missing = [user for user in users if not self.books[user].lines_loaded]
        if not missing:
            return
        await load_lines(conn, [self.before[user] for user in missing], self.catalogue, self.remembered)
        for user in missing:
            self.books[user].take_lines(self.before[user])

    def _seen(self) -> list[Statement]:
        changes = Changes()
        for user, book in self.books.items():
            changes.book(self.before[user], book)
            self.announced += publish.findings(self.before[user], book)
        missing = self.catalogue.unsaved(changes.instruments_used())
        changes.instruments(missing)
        self.instruments = {ref.instrument_id for ref, _ in missing}
        return changes.statements(self.now.isoformat())

    def _summed(self, stored: dict[str, dict[str, Digests]]) -> list[Statement]:
        changes = Changes()
        for user, portfolios in stored.items():
            book = self.books[user]
            for portfolio, digests in portfolios.items():
                self._sum(book, portfolio, digests, changes)
            changes.consolidated(book, self.found, self.now)
        return changes.statements(self.now.isoformat())

    def _sum(self, book: Book, portfolio: str, digests: Digests, changes: Changes) -> None:
        """Sum one portfolio; one that was dropped has no positions."""
        positions = conclude.positions(book, self.rules, portfolio)
        totals = publish.totals(positions.values())
        changes.put("upsert", PORTFOLIO_HISTORY, _day(book, portfolio, digests, totals, self.now))
        found = self.found[portfolio] = compare(book.user_id, portfolio, digests, positions)
        new = portfolio in book.portfolios and portfolio not in book.versions
        if found or new:
            version = book.versions[portfolio] = book.versions.get(portfolio, 0) + 1
            changes.positions(book.user_id, portfolio, found, version, len(positions))
            told = publish.consolidated(book, portfolio, found, totals, self.now)
            self.announced.append(told)


def _day(
    book: Book, portfolio: str, before: Digests, totals: list[CurrencyTotal], now: datetime
) -> list[Row]:
    """Rows of ``portfolio_history``: the day's totals, nothing in currencies of which all is gone."""
    values = {one.currency: (one.market_value, one.complete) for one in totals}
    currencies = {currency for _, currency in before} | values.keys()
    day = now.astimezone(UTC).date().isoformat()
    found = {currency: values.get(currency, (ZERO, True)) for currency in sorted(currencies)}
    return [
        (book.user_id, portfolio, day, currency, str(value), truth(complete))
        for currency, (value, complete) in found.items()
    ]


def _version(message: Any) -> int:
    """The version of a snapshot; what has none comes first."""
    return message.clocks.version if isinstance(message, Snapshot) else 0


async def _write(conn: Session, statements: list[Statement]) -> None:
    """Send statements; inside a pipeline, without waiting for their results."""
    for statement, parameters in statements:
        await conn.execute(statement, parameters)


def _with_news(messages: list[Any], books: Books) -> list[Book]:
    """The books whose holdings a message may change, so that old and new can be compared."""
    users = {
        message.user_id
        for message in messages
        if isinstance(message, HoldingsSnapshot) and _is_news(message, books[message.user_id])
    }
    return [books[user] for user in sorted(users)]


def _is_news(message: HoldingsSnapshot, book: Book) -> bool:
    """Whether it may not simply move the clocks: it holds something else, or somebody rejected it."""
    current = book.holding(message.account_id).current
    return current is not None and (
        current.content_hash != message.content_hash
        or any(
            one.version == message.clocks.version and one.account_id == message.account_id
            for one in book.judgements
        )
    )
