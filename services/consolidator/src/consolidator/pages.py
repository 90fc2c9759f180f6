"""Pages of transactions: what they say is joined with what is stored, and what follows from it is written."""

from typing import NamedTuple

from consolidator.counts import Counts
from consolidator.domain.ranges import Range, needed, united
from consolidator.domain.succession import settled
from consolidator.domain.transactions import Entry, joined, told
from consolidator.store import activity_tables as tables
from consolidator.store.arrays import Row
from consolidator.store.entries import Of, load_coverage, load_entries, load_sweeps
from consolidator.store.posted import state_row, transaction_row
from consolidator.store.saving import Changes
from contracts.transactions import Sweep, Transaction, TransactionsBatch
from persistence.database import Connection as Session


class News(NamedTuple):
    """What a page says of one external id: its content, or that it was taken back."""

    entry: Entry
    content: Transaction | None
    run_id: str | None


class Pages:
    """The pages of one batch of messages."""

    def __init__(self) -> None:
        self._news: dict[Of, list[News]] = {}
        self._sweeps: dict[Of, list[Sweep]] = {}
        self._covered: dict[Of, list[Range]] = {}

    def add(self, event: TransactionsBatch) -> None:
        """Take in a page, whole or not at all."""
        of, version = Of(event.user_id, event.account_id), event.clocks.version
        news = [News(told(one, event.account_id, version), one, event.run_id) for one in event.transactions]
        news += [News(Entry(external_id=one, removed_version=version), None, None) for one in event.removed]
        self._news.setdefault(of, []).extend(news)
        if event.sweep is not None:
            self._sweeps.setdefault(of, []).append(event.sweep)
        if event.covers_from is not None and event.covers_through is not None:
            self._covered.setdefault(of, []).append((event.covers_from, event.covers_through))

    async def into(self, conn: Session, changes: Changes, counts: Counts) -> set[str]:
        """Add what these pages change; returns the users of whom any transaction is other than it was."""
        if not self._news:
            return set()
        await self._cover(conn, changes)
        news = {of: [one.entry for one in ones] for of, ones in self._news.items()}
        stored = await load_entries(conn, news, self._sweeps)
        sweeps = await load_sweeps(conn, self._news)
        moved = set()
        for of, before in stored.items():
            kept = _swept_anew(of, sweeps[of], self._sweeps.get(of, []), changes)
            after, contents = _folded(of, before, self._news[of], counts)
            if _write(of, before, settled(of.account_id, after, kept), contents, changes):
                moved.add(of.user_id)
        return moved

    async def _cover(self, conn: Session, changes: Changes) -> None:
        for of, known in (await load_coverage(conn, self._covered)).items():
            found = united([*known, *self._covered[of]])
            changes.put("delete", tables.COVERAGE, [_days(of, one) for one in known if one not in found])
            changes.put("insert", tables.COVERAGE, [_days(of, one) for one in found if one not in known])


def _swept_anew(of: Of, known: set[Sweep], news: list[Sweep], changes: Changes) -> set[Sweep]:
    """The account's sweeps from now on."""
    found = needed([*known, *news])
    changes.put("delete", tables.SWEEPS, [_sweep_row(of, one) for one in known - found])
    changes.put("insert", tables.SWEEPS, [_sweep_row(of, one) for one in found - known])
    return found


def _folded(
    of: Of, before: dict[str, Entry], news: list[News], counts: Counts
) -> tuple[dict[str, Entry], dict[str, Transaction]]:
    """The entries after these news, and the contents that are told anew."""
    after, contents = dict(before), {}
    for entry, content, run_id in sorted(news, key=lambda one: one.entry.version):
        name = entry.external_id
        known = after.get(name)
        found = after[name] = entry if known is None else joined(known, entry)
        if content is None or (found.version, found.digest) != (entry.version, entry.digest):
            continue
        contents[name] = content
        if known is None or not known.version:
            counts.new(of.user_id, run_id)
        elif known.digest != entry.digest:
            counts.updated(of.user_id, run_id)
    return after, contents


def _write(
    of: Of,
    before: dict[str, Entry],
    after: dict[str, Entry],
    contents: dict[str, Transaction],
    changes: Changes,
) -> bool:
    """Add the rows that differ; returns whether any differs in more than the version it was last told under."""
    whole: list[Row] = []
    states: list[Row] = []
    moved = False
    for name, one in after.items():
        was = before.get(name)
        if was == one:
            continue
        told_anew = was is None or not was.version or was.digest != one.digest
        if told_anew and (was is None or one.version):
            whole.append(transaction_row(of, one, contents.get(name)))
        else:
            states.append(state_row(of, one))
        moved |= was is None or _seen(was) != _seen(one)
    changes.put("upsert", tables.TRANSACTIONS, whole)
    changes.put("upsert", tables.TRANSACTION_STATES, states)
    return moved


def _seen(one: Entry) -> tuple[bool, int, str]:
    return one.removed, one.digest, one.transaction_id


def _days(of: Of, one: Range) -> Row:
    return (*of, one[0].isoformat(), one[1].isoformat())


def _sweep_row(of: Of, one: Sweep) -> Row:
    return (*of, one.from_date.isoformat(), one.through.isoformat(), str(one.since_version))
