"""Where the state of limits is kept: in this process, or in the database for all replicas together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

from connector_kit import pacing
from connector_kit.pacing import MICROSECONDS, LimitKey
from connector_kit.priority import Priority
from persistence.database import Database
from service_kit.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class Want:
    """One call that wants to go: under all of these keys or not at all."""

    keys: tuple[LimitKey, ...]
    priority: Priority


class LimitStore(Protocol):
    """Grants calls."""

    async def take(self, wants: Sequence[Want]) -> list[float]:
        """For each, in this order: 0 when it may go now (and is counted), else the seconds after which to ask again."""
        ...

    async def block(self, keys: Sequence[LimitKey], seconds: float) -> None:
        """Let nobody pass under these keys for some time."""
        ...


class MemoryLimits:
    """Limits kept by one process alone."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._tat: dict[str, int] = {}
        self._blocked: dict[str, int] = {}

    async def take(self, wants: Sequence[Want]) -> list[float]:
        """Grant what the limits allow now."""
        now = self._now()
        return [self._one(want, now) / MICROSECONDS for want in wants]

    async def block(self, keys: Sequence[LimitKey], seconds: float) -> None:
        """Let nobody pass under these keys for some time."""
        until = self._now() + round(seconds * MICROSECONDS)
        for key in keys:
            self._blocked[key.name] = max(until, self._blocked.get(key.name, 0))

    def _one(self, want: Want, now: int) -> int:
        tats = {key: pacing.sane(self._tat.get(key.name, 0), now, key) for key in want.keys}
        waits = [self._blocked.get(key.name, 0) - now for key in want.keys]
        waits += [pacing.wait(tat, now, pacing.pace(key, want.priority)) for key, tat in tats.items()]
        longest = max([0, *waits])
        if longest == 0:
            for key, tat in tats.items():
                self._tat[key.name] = pacing.granted(tat, now, pacing.pace(key, want.priority))
        return longest

    def _now(self) -> int:
        return round(self._clock.monotonic() * MICROSECONDS)


class PostgresLimits:
    """Limits shared by all replicas: one statement grants a batch, by the database's clock."""

    def __init__(self, database: Database, provider: str) -> None:
        self._database = database
        self._provider = provider

    async def take(self, wants: Sequence[Want]) -> list[float]:
        """Grant what the limits allow now.

        Raises:
            DatabaseUnavailable: nobody can say whether a call may go.
        """
        asked = Jsonb([[self._key(key, want.priority) for key in want.keys] for want in wants])
        async with self._database.transaction(rows=scalar_row) as conn:
            cursor = await conn.execute("SELECT sync.take_permits(%s)", (asked,))
            waits: list[timedelta] = await cursor.fetchone() or []
        return [wait.total_seconds() for wait in waits]

    async def block(self, keys: Sequence[LimitKey], seconds: float) -> None:
        """Let nobody pass under these keys for some time."""
        names = sorted(self._name(key) for key in keys)
        async with self._database.transaction() as conn:
            await conn.execute(_BLOCK, {"names": names, "wait": timedelta(seconds=seconds)})

    def _name(self, key: LimitKey) -> str:
        return f"{self._provider}/{key.name}"

    def _key(self, key: LimitKey, priority: Priority) -> dict[str, Any]:
        at, most = pacing.pace(key, priority), pacing.pace(key, Priority.INTERACTIVE)
        return {
            "key": self._name(key),
            "interval": at.interval,
            "tolerance": at.tolerance,
            "most": most.tolerance + most.interval,
        }


_BLOCK = """
INSERT INTO sync.limits AS l (key, tat, blocked_until)
SELECT name, to_timestamp(0), clock_timestamp() + %(wait)s FROM unnest(%(names)s::text[]) AS name ORDER BY name
ON CONFLICT (key) DO UPDATE SET blocked_until = GREATEST(l.blocked_until, EXCLUDED.blocked_until)
"""
