"""The gate before a provider: its limits, calls side by side, pauses it asked for, and who goes first."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import structlog

from connector_kit import calls, priority
from connector_kit.limit_store import LimitStore, MemoryLimits, PostgresLimits
from connector_kit.pacing import LimitKey
from connector_kit.turns import Turns
from persistence.database import DatabaseUnavailable
from service_kit.clock import Clock, SystemClock

__all__ = [
    "TURN_WITHIN",
    "Gate",
    "GatedTransport",
    "LimitKey",
    "LimitStore",
    "MemoryLimits",
    "PostgresLimits",
    "seconds",
]

log = structlog.get_logger(__name__)

LIMITS = "limits"
"""The httpx extension that names a request's keys: ``extensions={"limits": (LimitKey(…),)}``."""
TURN_WITHIN = "turn_within"
"""The httpx extension that says how many seconds a request may wait for its turn; after that it is not sent."""
NEARLY_SPENT = 0.05
TOO_MANY = 429
PAUSE_MOST = 3600.0
"""Seconds: after that one call finds out whether a provider that asked for more still means it."""
CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=30.0)
"""More than a gate lets through: waiting happens at the gate, where it is fair."""


class Gate:
    """What every call to one provider passes through.

    At most ``side_by_side`` calls run at once, and no more than the limits of their keys allow; who is waited for by a
    person goes first. After a 429 nobody calls under its keys until the provider's ``Retry-After`` is over; when the
    provider says that its window is nearly spent (``X-RateLimit-Remaining`` at a twentieth of ``X-RateLimit-Limit``
    or less), the calls left are spread over the rest of the window.

    Use it around a call, or give it to httpx as a transport (``gate.transport(...)``). Give it to ``build(..., gate=
    gate)`` as well: from then on its limits are shared by all replicas; until then they are this process's own.
    """

    def __init__(
        self,
        provider: str,
        *,
        side_by_side: int = 8,
        clock: Clock | None = None,
        store: LimitStore | None = None,
    ) -> None:
        self._provider = provider
        self._clock = clock or SystemClock()
        self._turns = Turns(provider, store or MemoryLimits(self._clock), side_by_side, self._clock)

    @property
    def provider(self) -> str:
        """Whose gate it is."""
        return self._provider

    @property
    def pause(self) -> float:
        """Seconds until calls may go on at all; 0 when they may."""
        return self._turns.pause

    def use(self, store: LimitStore) -> None:
        """Keep the limits there from now on."""
        self._turns.store = store

    @asynccontextmanager
    async def passing(self, keys: Sequence[LimitKey] = ()) -> AsyncIterator[None]:
        """Wait for a turn under all of the keys; counts one provider call.

        Raises:
            TransientError: the turn is further away than it is worth waiting for, or nobody can say when it is.
        """
        async with self._turns.turn(tuple(dict.fromkeys(keys)), priority.current()):
            calls.count()
            yield

    async def learn(self, status: int, headers: Mapping[str, str], keys: Sequence[LimitKey] = ()) -> None:
        """Learn from an answer to a call under these keys, for all replicas; without keys, for this process alone."""
        pause = pause_of(status, headers)
        if pause is None:
            return
        limit = seconds(headers.get("X-RateLimit-Limit"))
        meant = [key for key in keys if key.limit == limit] or list(keys)
        await self.block(meant, pause)

    async def block(self, keys: Sequence[LimitKey], wait: float) -> None:
        """Let nobody pass under these keys for ``wait`` seconds; without keys, nobody in this process at all."""
        if not keys:
            self._turns.close(wait)
            return
        log.warning("limits.blocked", provider=self._provider, keys=[key.name for key in keys], wait=wait)
        try:
            await self._turns.store.block(keys, wait)
        except DatabaseUnavailable as error:
            # Nobody else passes either while the database is away; this process waits all the same.
            self._turns.close(wait)
            log.warning("limits.block_not_shared", provider=self._provider, error=str(error))

    def transport(self, inner: httpx.AsyncBaseTransport | None = None) -> "GatedTransport":
        """An httpx transport whose requests pass through this gate; the network by default."""
        return GatedTransport(self, inner or httpx.AsyncHTTPTransport(limits=CONNECTIONS, trust_env=False))


class GatedTransport(httpx.AsyncBaseTransport):
    """Passes requests through a gate, under the keys they name, and shows it the answers."""

    def __init__(self, gate: Gate, inner: httpx.AsyncBaseTransport) -> None:
        self._gate = gate
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request when it is its turn; the turn ends when the answer begins.

        Raises:
            httpx.PoolTimeout: its turn did not come in time; nothing was sent.
        """
        keys: tuple[LimitKey, ...] = tuple(request.extensions.get(LIMITS, ()))
        async with AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(request.extensions.get(TURN_WITHIN)):
                    await turn.enter_async_context(self._gate.passing(keys))
            except TimeoutError as error:
                raise httpx.PoolTimeout("no turn in time") from error
            response = await self._inner.handle_async_request(request)
        await self._gate.learn(response.status_code, response.headers, keys)
        return response

    async def aclose(self) -> None:
        """Close what is inside."""
        await self._inner.aclose()


def pause_of(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds of pause that an answer asks for; header names are looked up as httpx gives them (any case)."""
    reset = seconds(headers.get("X-RateLimit-Reset"))
    if status == TOO_MANY:
        return min(seconds(headers.get("Retry-After")) or reset or 1.0, PAUSE_MOST)
    remaining, limit = (seconds(headers.get(f"X-RateLimit-{name}")) for name in ("Remaining", "Limit"))
    if remaining is None or not limit or not reset or remaining > limit * NEARLY_SPENT:
        return None
    return min(reset / (remaining + 1), PAUSE_MOST)


def seconds(text: str | None) -> float | None:
    """A header's number of seconds (or calls); None where it is absent, negative or no plain number."""
    if text is None or not text.strip().isascii():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
