"""How much of what a sync run read was new: counted where it is applied, in the same transaction."""

from collections import Counter
from collections.abc import Iterable

from consolidator.store.arrays import Row


class Counts:
    """New and updated items by user and run; a run that is not named is not counted."""

    def __init__(self) -> None:
        self._new: Counter[tuple[str, str]] = Counter()
        self._updated: Counter[tuple[str, str]] = Counter()

    def new(self, user_id: str, run_id: str | None) -> None:
        """An item was seen for the first time."""
        if run_id is not None:
            self._new[user_id, run_id] += 1

    def updated(self, user_id: str, run_id: str | None) -> None:
        """An item is other than it was."""
        if run_id is not None:
            self._updated[user_id, run_id] += 1

    def rows(self) -> Iterable[Row]:
        """Rows to add to ``sync_counts``."""
        return [
            (*key, str(self._new[key]), str(self._updated[key])) for key in sorted(self._new | self._updated)
        ]
