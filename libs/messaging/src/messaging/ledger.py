"""The attempt ledger: finds the message that kills its consumer, before the delivery limit parks its neighbours."""

from typing import Protocol

MAX_CRASHES = 3


class AttemptLedger(Protocol):
    """Counts tries of redelivered messages where a crash cannot undo the count."""

    async def begin(self, consumer: str, event_id: str) -> int:
        """Note, durably and before the work, that a try begins; return how many have begun, this one included."""
        ...

    async def done(self, consumer: str, event_id: str) -> None:
        """Forget the message: its try came to an end, whatever the result."""
        ...


class MemoryLedger:
    """A ledger for tests and for consumers that outlive their handlers' crashes."""

    def __init__(self) -> None:
        self._tries: dict[tuple[str, str], int] = {}

    async def begin(self, consumer: str, event_id: str) -> int:
        """Count one more."""
        key = (consumer, event_id)
        self._tries[key] = self._tries.get(key, 0) + 1
        return self._tries[key]

    async def done(self, consumer: str, event_id: str) -> None:
        """Forget."""
        self._tries.pop((consumer, event_id), None)
