"""What an account did, as SnapTrade has it: a generated past and what control changed of it since. Pure.

The past ends the day before its connection was made and stays where it is. Only what a page shows is rendered, so a
history of tens of thousands costs no more than a short one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from provider_sandbox.snaptrade.activities import PER_DAY, generated, generated_id
from provider_sandbox.snaptrade.seen import Seen

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Added:
    """A row that control added; nobody sees it before a sync at `known_at` or later (None: at once)."""

    row: Row
    known_at: datetime | None


@dataclass(slots=True)
class Changes:
    """What control changed of one account's history: `removed` holds ids, `generation` is how often all got new ones."""

    added: list[Added] = field(default_factory=list)
    removed: dict[str, bool] = field(default_factory=dict)
    generation: int = 0
    orders: list[Row] = field(default_factory=list)


class Entry(NamedTuple):
    """One activity by its day and either its number in the generated past or the row that control gave."""

    day: date
    number: int = 0
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The history one connection shows of an account: `past_end` is its last generated day, `through` the last whole."""

    seen: Seen
    institution: str
    past_end: date
    through: date
    changes: Changes

    def entries(self) -> list[Entry]:
        """Every activity that is visible, newest trade date first."""
        account = self.seen.account
        entries = [
            Entry(self.past_end - timedelta(days=index // PER_DAY), account.activities - index)
            for index in range(account.activities)
        ]
        if self.changes.removed:
            entries = [e for e in entries if self._id(e) not in self.changes.removed]
        return self._with_added(entries)

    def first_day(self) -> date | None:
        """The day of the oldest activity; None without any."""
        count = self.seen.account.activities
        if not self.changes.added and not self.changes.removed:
            return self.past_end - timedelta(days=(count - 1) // PER_DAY) if count else None
        return min((entry.day for entry in self.entries()), default=None)

    def rendered(self, entries: Sequence[Entry]) -> list[Row]:
        """The rows of some entries as `AccountUniversalActivity`."""
        return [self._row(entry) for entry in entries]

    def type_of(self, entry: Entry) -> str:
        """The type of an activity."""
        return str(self._row(entry)["type"])

    def _with_added(self, entries: list[Entry]) -> list[Entry]:
        added = list(self._visible())
        if not added:
            return entries
        # The sort is stable: of one day, what was added last comes first.
        return sorted([*reversed(added), *entries], key=lambda entry: entry.day, reverse=True)

    def _visible(self) -> Iterator[Entry]:
        for one in self.changes.added:
            day = filed_on(one.row)
            known = one.known_at is None or self.seen.at >= one.known_at
            if known and day <= self.through and one.row.get("id") not in self.changes.removed:
                yield Entry(day, row=one.row)

    def _id(self, entry: Entry) -> str:
        return generated_id(self.seen.account.key, entry.number, self.changes.generation)

    def _row(self, entry: Entry) -> Row:
        if entry.row is not None:
            return {"institution": self.institution} | entry.row
        row = generated(self.seen, entry.number, entry.day) | {"institution": self.institution}
        return {"id": self._id(entry)} | row


def filed_on(row: Row) -> date:
    """The day an activity is filed under: of its trade, else of its settlement."""
    at = datetime.fromisoformat(row.get("trade_date") or row["settlement_date"])
    return (at if at.tzinfo is None else at.astimezone(UTC)).date()


def in_range(entry: Entry, start: date | None, end: date | None) -> bool:
    """Whether a range of trade dates holds an activity; one without a trade date is in no range."""
    if start is None and end is None:
        return True
    if entry.row is not None and entry.row.get("trade_date") is None:
        return False
    return (start is None or entry.day >= start) and (end is None or entry.day <= end)
