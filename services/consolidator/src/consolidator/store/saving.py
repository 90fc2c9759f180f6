"""Writing back what changed in the books of a batch: a few wide statements, in one pipeline."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from consolidator.book import Book, changed, vanished
from consolidator.conclude import breaks, members
from consolidator.domain.values import Held, InstrumentRef, Sight
from consolidator.store import rows, tables
from consolidator.store.arrays import Row, time
from consolidator.store.holdings import HoldingChanges
from consolidator.store.positions import PositionChanges
from consolidator.store.table import Table
from contracts.decisions import ConsolidationRequested
from contracts.instruments import Instrument

EMPTY = Held()
Statement = tuple[str, list[str]]


class Changes:
    """Everything a batch writes: rows by table and by verb."""

    def __init__(self) -> None:
        # By the table as it is written, not by its name: one may be written in several ways.
        self._statements: dict[tuple[str, int], tuple[Table, list[Row]]] = {}
        self.holdings = HoldingChanges()
        self.kept: set[str] = set()
        """The instruments of snapshots that are kept beside the holdings."""

    def put(self, verb: str, table: Table, new: Iterable[Row]) -> None:
        """Add rows; ``verb`` names a statement of the table."""
        _, collected = self._statements.setdefault((verb, id(table)), (table, []))
        collected.extend(new)

    def statements(self, at: str) -> list[Statement]:
        """The statements with their parameters, deletions first."""
        self.put("delete", tables.HOLDINGS, self.holdings.gone)
        self.put("update", tables.HOLDINGS, self.holdings.changed)
        self.put("insert", tables.HOLDINGS, self.holdings.new)
        ordered = sorted(self._statements.items(), key=lambda item: item[0][0] != "delete")
        return [_statement(verb, table, found, at) for (verb, _), (table, found) in ordered if found]

    def instruments_used(self) -> set[str]:
        """The instruments that rows of this batch refer to."""
        return self.holdings.instruments | self.kept

    def instruments(self, missing: list[tuple[InstrumentRef, Instrument]]) -> None:
        """Add the instruments that may not be stored yet."""
        self.put("ignore", tables.INSTRUMENTS, [rows.instrument_row(ref, one) for ref, one in missing])

    def book(self, before: Book, after: Book) -> None:
        """Add what differs between a user's book as loaded and as it is now, positions left out."""
        user = after.user_id
        self._upserts(user, tables.CONNECTIONS, before.connections, after.connections, rows.connection_row)
        self._upserts(user, tables.ACCOUNTS, before.accounts, after.accounts, rows.account_row)
        self._upserts(
            user, tables.REAL_ACCOUNTS, before.real_accounts, after.real_accounts, rows.real_account_row
        )
        self._upserts(user, tables.EVIDENCE, before.links, after.links, rows.link_row)
        gone_accounts = [
            (user, one.real_account_id) for one in vanished(before.real_accounts, after.real_accounts)
        ]
        self.put("delete", tables.REAL_ACCOUNTS, gone_accounts)
        self.put(
            "delete", tables.EVIDENCE, [(user, *one.accounts) for one in vanished(before.links, after.links)]
        )
        self._checks(before, after)
        self._snapshots(before, after)
        self._balances(before, after)
        self._decided(before, after)

    def positions(self, user: str, portfolio: str, found: PositionChanges, version: int, count: int) -> None:
        """Add a portfolio's changed positions and its new version."""
        self.put("delete", tables.POSITIONS, found.gone)
        self.put("update", tables.CHANGED_POSITIONS, found.changed)
        self.put("insert", tables.POSITIONS, found.new)
        self.put("upsert", tables.VERSIONS, [rows.version_row(user, portfolio, version, count)])

    def consolidated(self, book: Book, found: dict[str, PositionChanges], now: datetime) -> None:
        """Add what consolidations on demand did to the portfolios they named, or to all."""
        live = book.live_portfolios()
        self.put(
            "ignore",
            tables.CONSOLIDATIONS,
            [
                consolidation_row(book, request, portfolio, found[portfolio], now)
                for request in book.requests.values()
                for portfolio in (live if not request.portfolio_ids else request.portfolio_ids)
                if portfolio in live
            ],
        )

    def _decided(self, before: Book, after: Book) -> None:
        user = after.user_id
        decided = after.decisions[len(before.decisions) :]
        self.put("ignore", tables.DECISIONS, [rows.decision_row(user, one) for one in decided])
        judged = after.judgements[len(before.judgements) :]
        self.put("ignore", tables.JUDGEMENTS, [rows.judgement_row(user, one) for one in judged])
        self._upserts(user, tables.PORTFOLIOS, before.portfolios, after.portfolios, rows.portfolio_row)
        switched = [
            rows.switch_row(user, was, now)
            for now in changed(before.real_accounts, after.real_accounts)
            if (was := before.real_accounts.get(now.real_account_id))
            and was.counted_account_id not in {None, now.counted_account_id}
        ]
        self.put("insert", tables.SWITCHES, switched)

    def _upserts(
        self,
        user: str,
        table: Table,
        before: dict[Any, Any],
        after: dict[Any, Any],
        row: Callable[[str, Any], Row],
    ) -> None:
        self.put("upsert", table, [row(user, value) for value in changed(before, after)])

    def _checks(self, before: Book, after: Book) -> None:
        user = after.user_id
        written = [
            rows.check_row(user, real_account_id, check)
            for real_account_id, check in after.checks.items()
            if before.checks.get(real_account_id) != check
        ]
        self.put("upsert", tables.CHECKS, written)
        self.put("delete", tables.CHECKS, [(user, one) for one in before.checks if one not in after.checks])

    def _snapshots(self, before: Book, after: Book) -> None:
        self._sightings(before, after)
        for account_id, held in after.held.items():
            was = before.held.get(account_id, EMPTY)
            if held is was:
                continue
            old = rows.snapshot_rows(after.user_id, account_id, was)
            new = rows.snapshot_rows(after.user_id, account_id, held)
            self.put("upsert", tables.SNAPSHOTS, [row for state, row in new.items() if old.get(state) != row])
            self.put("delete", tables.SNAPSHOTS, [row[:3] for state, row in old.items() if state not in new])
            self.holdings.add(after.user_id, account_id, was, held)
            if held.quarantine is not None:
                self.kept |= _instruments(held.quarantine.sight)

    def _sightings(self, before: Book, after: Book) -> None:
        """Keep every complete snapshot that was seen, and whole what nothing else stores any more.

        What a kept snapshot held is stored with it, or with a newer one of the same content: the older ones are
        let go first.
        """
        written = dict(after.sighted)
        for account_id in {account_id for account_id, _ in after.sighted} | after.histories.keys():
            for sight in _stored(before.holding(account_id)).values():
                if not _is_stored(sight, after.holding(account_id)):
                    written.setdefault((account_id, sight.version), sight)
        new = []
        for (account_id, _), sight in written.items():
            whole = not _is_stored(sight, after.holding(account_id))
            new.append(rows.sighting_row(after.user_id, account_id, sight, whole=whole))
            if whole:
                self.kept |= _instruments(sight)
        self.put("upsert", tables.SIGHTINGS, new)

    def _balances(self, before: Book, after: Book) -> None:
        user = after.user_id
        for account_id, sheet in after.sheets.items():
            was = before.sheets.get(account_id)
            if was == sheet:
                continue
            self.put("upsert", tables.BALANCE_SNAPSHOTS, [rows.balance_snapshot_row(user, account_id, sheet)])
            if sheet.balances is None:
                continue
            self.put(
                "insert", tables.BALANCES, [rows.balance_row(user, account_id, one) for one in sheet.balances]
            )
            if was is not None:
                self.put("delete", tables.BALANCES_OF, [(user, account_id)])


def consolidation_row(
    book: Book, request: ConsolidationRequested, portfolio: str, found: PositionChanges, now: datetime
) -> Row:
    """A row of ``consolidations``."""
    reals = members(book, portfolio)
    counted = [real.counted_account_id for real in reals if real.counted_account_id]
    providers = Counter(book.accounts[account_id].provider for account_id in counted)
    return (
        book.user_id,
        request.request_id,
        portfolio,
        request.requested_by,
        time(request.requested_at),
        time(now),
        str(len(found.digests)),
        str(len(counted)),
        str(len(reals)),
        rows.json_text(dict(sorted(providers.items()))),
        str(len(found.new) + len(found.changed)),
        str(len(found.gone)),
        str(breaks(book, portfolio)),
        str(book.versions.get(portfolio, 0)),
    )


def _stored(held: Held) -> dict[str, Sight]:
    """The snapshots whose content is stored as holdings or as a quarantine, by that content."""
    sights = (held.current, held.quarantine.sight if held.quarantine else None)
    return {sight.content_hash: sight for sight in sights if sight is not None}


def _is_stored(sight: Sight, held: Held) -> bool:
    """Whether its content is stored as holdings or as a quarantine, and with a snapshot that is not older."""
    found = _stored(held).get(sight.content_hash)
    return found is not None and found.version >= sight.version


def _instruments(sight: Sight) -> set[str]:
    return {line.ref.instrument_id for line in sight.lines or ()}


def _statement(verb: str, table: Table, found: list[Row], at: str) -> Statement:
    if verb == "delete":
        return table.delete, table.key_parameters(found)
    statement: str = getattr(table, verb)
    return statement, table.parameters(found, at)
