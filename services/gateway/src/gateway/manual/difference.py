"""What replacing or merging would do to what an account holds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.manual.edits import merged
from gateway.manual.holdings import Line
from gateway.manual.store import Row, kept


class Mode(StrEnum):
    """``replace``: the file is all the account holds. ``merge``: what the file does not name stays."""

    REPLACE = "replace"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class Difference:
    """How many holdings come, change, go and stay."""

    added: int
    changed: int
    removed: int
    unchanged: int


def after(mode: Mode, before: Sequence[Row], lines: Sequence[Line]) -> list[Row]:
    """What the account will hold."""
    return merged(before, lines) if mode is Mode.MERGE else kept(before, lines)


def difference(before: Sequence[Row], then: Sequence[Row]) -> Difference:
    """What lies between two states of an account."""
    old = {row.line.slot: row.line.holding for row in before}
    new = {row.line.slot: row.line.holding for row in then}
    both = old.keys() & new.keys()
    changed = sum(old[slot] != new[slot] for slot in both)
    return Difference(len(new) - len(both), changed, len(old) - len(both), len(both) - changed)
