"""The ledger of placements: every request that wanted something of an order, and what came of it.

It is written by the sandbox alone, so it can tell whether a client placed an order twice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal["place", "trade", "options", "simple", "replace", "cancel"]
PLACING: frozenset[str] = frozenset({"place", "trade", "options", "simple"})
FILTERS = (
    "account",
    "account_key",
    "user",
    "connection",
    "kind",
    "symbol",
    "side",
    "client_order_id",
    "broker_order_id",
    "request_id",
    "chaos",
)


@dataclass(slots=True)
class Placement:
    """One request. `accepted` means the broker did it: an order exists (or was cancelled), whatever was answered.

    `answered` is the status sent, 0 while nothing is sent, and None when the connection was cut.
    """

    number: int
    kind: Kind
    request_id: str | None
    received_at: datetime
    client_request_id: str | None = None
    client: str | None = None
    user: str | None = None
    connection: str | None = None
    account: str | None = None
    account_key: str | None = None
    symbol: str | None = None
    side: str | None = None
    quantity: str | None = None
    order_type: str | None = None
    limit_price: str | None = None
    client_order_id: str | None = None
    replaces: str | None = None
    accepted: bool = False
    accepted_at: datetime | None = None
    broker_order_id: str | None = None
    chaos: str | None = None
    answered: int | None = 0
    error: str | None = None
    too_fast: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "received_at": self.received_at.isoformat(),
            "accepted_at": None if self.accepted_at is None else self.accepted_at.isoformat(),
        }

    @property
    def shape(self) -> str:
        """What two placements of the same order have in common."""
        parts = (self.account, self.symbol, self.side, self.quantity, self.order_type, self.limit_price)
        return " ".join(part or "-" for part in parts)


class Placements:
    """The rows, oldest first."""

    def __init__(self) -> None:
        self._rows: list[Placement] = []

    def open(self, kind: Kind, request_id: str | None, now: datetime) -> Placement:
        """Write down that a request came."""
        row = Placement(len(self._rows) + 1, kind, request_id, now)
        self._rows.append(row)
        return row

    def all(self) -> list[Placement]:
        """Every row."""
        return list(self._rows)

    def select(
        self, wanted: Mapping[str, str], *, accepted: bool | None = None, after: int = 0
    ) -> list[Placement]:
        """The rows with number above `after` whose members are as wanted."""
        return [
            row
            for row in self._rows[after:]
            if accepted in {None, row.accepted} and all(getattr(row, n) == v for n, v in wanted.items())
        ]

    def restore(self, rows: Iterable[Placement]) -> None:
        """Take over rows from before a restart."""
        self._rows = list(rows)

    def clear(self) -> None:
        """Forget every row."""
        self._rows.clear()


def counts(rows: Iterable[Placement]) -> dict[str, Any]:
    """Count rows; `twice` names what was accepted more than once by client order id and by shape."""
    every = list(rows)
    placed = [row for row in every if row.kind in PLACING]
    accepted = [row for row in placed if row.accepted]
    return {
        "received": len(placed),
        "accepted": len(accepted),
        "refused": sum(not row.accepted and row.answered is not None for row in placed),
        "answers_cut": sum(row.answered is None for row in placed),
        "accepted_without_answer": sum(row.accepted and row.answered is None for row in placed),
        "too_fast": sum(row.too_fast for row in placed),
        "by_kind": dict(Counter(row.kind for row in every)),
        "by_chaos": dict(Counter(row.chaos for row in every if row.chaos)),
        "twice": {
            "client_order_id": _repeated(row.client_order_id for row in accepted),
            "shape": _repeated(row.shape for row in accepted),
        },
    }


def _repeated(names: Iterable[str | None]) -> dict[str, int]:
    return {name: times for name, times in Counter(names).items() if name is not None and times > 1}
