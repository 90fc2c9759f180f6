"""Limits of a provider, kept inside one process: calls side by side, and pauses it asked for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from connector_kit import calls
from contracts.errors import ErrorCode, TransientError
from service_kit.clock import Clock, SystemClock

PAUSE_MAX = 60.0
"""A longer pause is not sat out: the call fails at once and says when to come back."""
NEARLY_SPENT = 0.05
TOO_MANY = 429
CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=30.0)
"""More than a gate lets through: waiting happens at the gate, where it is fair."""


class Gate:
    """What every call to one provider passes through.

    At most ``side_by_side`` calls run at once. After a 429 nobody calls until the provider's ``Retry-After``
    is over; when the provider says that its window is nearly spent (``X-RateLimit-Remaining`` at a twentieth
    of ``X-RateLimit-Limit`` or less), the calls left are spread over the rest of the window.

    Use it around a call, or give it to httpx as a transport (``gate.transport(...)``).
    """

    def __init__(self, provider: str, *, side_by_side: int = 8, clock: Clock | None = None) -> None:
        self._provider = provider
        self._slots = asyncio.Semaphore(side_by_side)
        self._clock = clock or SystemClock()
        self._closed_until = 0.0

    @property
    def pause(self) -> float:
        """Seconds until calls may go on; 0 when they may."""
        return max(0.0, self._closed_until - self._clock.monotonic())

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Wait for a turn; counts one provider call.

        Raises:
            TransientError: the provider asked for a pause longer than a minute.
        """
        async with self._slots:
            await self._sit_out()
            calls.count()
            yield

    def note(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer; header names are looked up as httpx gives them (case does not matter there)."""
        if status == TOO_MANY:
            self._close(
                seconds(headers.get("Retry-After")) or seconds(headers.get("X-RateLimit-Reset")) or 1.0
            )
            return
        remaining, limit = (seconds(headers.get(f"X-RateLimit-{name}")) for name in ("Remaining", "Limit"))
        reset = seconds(headers.get("X-RateLimit-Reset"))
        if remaining is not None and limit and reset and remaining <= limit * NEARLY_SPENT:
            self._close(min(reset, reset / (remaining + 1)))

    def transport(self, inner: httpx.AsyncBaseTransport | None = None) -> "GatedTransport":
        """An httpx transport whose requests pass through this gate; the network by default."""
        return GatedTransport(self, inner or httpx.AsyncHTTPTransport(limits=CONNECTIONS, trust_env=False))

    async def _sit_out(self) -> None:
        while (pause := self.pause) > 0:
            if pause > PAUSE_MAX:
                raise TransientError(
                    "the provider asked us to wait", code=ErrorCode.RATE_LIMITED, provider=self._provider
                ).waiting(pause)
            await asyncio.sleep(pause)

    def _close(self, wait: float) -> None:
        self._closed_until = max(self._closed_until, self._clock.monotonic() + wait)


class GatedTransport(httpx.AsyncBaseTransport):
    """Passes requests through a gate and shows it the answers."""

    def __init__(self, gate: Gate, inner: httpx.AsyncBaseTransport) -> None:
        self._gate = gate
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request when it is its turn; the turn ends when the answer begins."""
        async with self._gate.passing():
            response = await self._inner.handle_async_request(request)
        self._gate.note(response.status_code, response.headers)
        return response

    async def aclose(self) -> None:
        """Close what is inside."""
        await self._inner.aclose()


def seconds(text: str | None) -> float | None:
    """A header's number of seconds (or calls); None where it is absent, negative or no plain number."""
    if text is None or not text.strip().isascii():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
