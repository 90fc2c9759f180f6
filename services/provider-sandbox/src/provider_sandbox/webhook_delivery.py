"""Delivers webhooks as the providers do: signed per attempt, retried on their schedule, every attempt recorded."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import httpx

from provider_sandbox.webhook_policy import (
    POLICIES,
    Disorder,
    Fate,
    FateSource,
    RetryPolicy,
    host_of,
    is_loopback,
)

Headers = Callable[[], dict[str, str]]
State = Literal["pending", "delivered", "failed", "dropped", "refused", "cancelled"]
ORDER_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: when, what came back (`status`) or what went wrong (`error`)."""

    at: datetime
    status: int | None
    error: str | None


@dataclass(slots=True)
class Delivery:
    """One webhook to one URL and everything that happened to it."""

    provider: str
    url: str
    body: bytes
    state: State = "pending"
    attempts: list[Attempt] = field(default_factory=list)
    delivery_id: str = field(default_factory=lambda: str(uuid4()))

    def summary(self) -> dict[str, Any]:
        """The delivery as the control API lists it."""
        return {
            "id": self.delivery_id,
            "provider": self.provider,
            "url": self.url,
            "status": self.state,
            "body": self.body.decode(),
            "attempts": [
                {"at": attempt.at.isoformat(), "status": attempt.status, "error": attempt.error}
                for attempt in self.attempts
            ],
        }


@dataclass(slots=True)
class _Turn:
    """A delivery's place in the queue of first attempts to one URL."""

    overtaken: bool
    ahead: "_Turn | None" = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    passed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Wait for the one ahead, or when overtaken for the one behind; never long."""
        if self.overtaken:
            await _patiently(self.passed)
        elif self.ahead is not None and not self.ahead.overtaken:
            await _patiently(self.ahead.tried)

    def done(self) -> None:
        """Let the next one go."""
        self.tried.set()
        if self.ahead is not None:
            self.ahead.passed.set()
            self.ahead = None


async def _at_once() -> None:
    """Wait for nothing."""


async def _patiently(event: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(event.wait(), ORDER_PATIENCE)
    except TimeoutError:
        return


class WebhookDelivery:
    """Schedules deliveries as tasks of the running loop; `time_scale` shrinks every wait between attempts.

    Only loopback addresses and `allowed_hosts` are contacted. `delays` in a Disorder are scaled too.
    `before_attempt` is awaited before each attempt; an OSError from it counts as a failed attempt.
    """

    def __init__(
        self,
        *,
        time_scale: float = 1.0,
        loopback_only: bool = True,
        allowed_hosts: frozenset[str] = frozenset(),
        policies: Mapping[str, RetryPolicy] = POLICIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.time_scale = time_scale
        self.before_attempt: Callable[[], Awaitable[None]] = _at_once
        self._deliveries: list[Delivery] = []
        self._loopback_only = loopback_only
        self._allowed_hosts = allowed_hosts
        self._policies = policies
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[str, _Turn] = {}
        self._fates = FateSource()

    async def send(self, provider: str, url: str, body: bytes, headers: Headers) -> None:
        """Schedule one webhook and return at once.

        `headers` is asked again before each attempt, so a signature is always fresh. A URL that may not be
        contacted is recorded as refused; a provider without a policy is a KeyError.
        """
        policy = self._policies[provider]
        delivery = Delivery(provider, url, body)
        self._deliveries.append(delivery)
        fate = self._fates.draw()
        if not self._may_contact(url):
            delivery.state = "refused"
        elif fate.copies == 0:
            delivery.state = "dropped"
        else:
            self._schedule(delivery, headers, policy, fate)

    def disturb(self, disorder: Disorder) -> None:
        """Apply a disorder to the deliveries sent from now on."""
        self._fates = FateSource(disorder)

    def deliveries(self) -> list[dict[str, Any]]:
        """Every delivery with its attempts, oldest first, as JSON values."""
        return [delivery.summary() for delivery in self._deliveries]

    def reset(self) -> None:
        """Cancel what is pending, forget what was recorded and deliver in order again."""
        self._cancel()
        self._deliveries.clear()
        self._turns.clear()
        self.disturb(Disorder())

    async def settle(self) -> None:
        """Wait until nothing is pending, retries included."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def aclose(self) -> None:
        """Cancel pending deliveries and close the connections."""
        tasks = self._cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _cancel(self) -> set[asyncio.Task[None]]:
        for delivery in self._deliveries:
            if delivery.state == "pending":
                delivery.state = "cancelled"
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def _may_contact(self, url: str) -> bool:
        if not self._loopback_only or is_loopback(url):
            return True
        return host_of(url) in self._allowed_hosts

    def _schedule(self, delivery: Delivery, headers: Headers, policy: RetryPolicy, fate: Fate) -> None:
        turn = self._turn(delivery.url, overtaken=fate.overtaken)
        self._spawn(self._deliver(delivery, headers, policy, fate.delay, turn))
        for _ in range(fate.copies - 1):
            twin = Delivery(delivery.provider, delivery.url, delivery.body)
            self._deliveries.append(twin)
            turn = self._turn(delivery.url, overtaken=False)
            self._spawn(self._deliver(twin, headers, policy, fate.delay, turn))

    def _turn(self, url: str, *, overtaken: bool) -> _Turn:
        turn = self._turns[url] = _Turn(overtaken, ahead=self._turns.get(url))
        return turn

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self, delivery: Delivery, headers: Headers, policy: RetryPolicy, delay: float, turn: _Turn
    ) -> None:
        try:
            await asyncio.sleep(delay * self.time_scale)
            await turn.wait()
            await self._attempt(delivery, headers, policy)
            turn.done()
            await self._retry(delivery, headers, policy)
        finally:
            turn.done()

    async def _retry(self, delivery: Delivery, headers: Headers, policy: RetryPolicy) -> None:
        while delivery.state == "pending":
            delay = policy.next_delay(len(delivery.attempts))
            if delay is None:
                delivery.state = "failed"
                return
            await asyncio.sleep(delay * self.time_scale)
            await self._attempt(delivery, headers, policy)

    async def _attempt(self, delivery: Delivery, headers: Headers, policy: RetryPolicy) -> None:
        at = datetime.now(UTC)
        status: int | None = None
        error: str | None = None
        try:
            await self.before_attempt()
            async with asyncio.timeout(policy.timeout):
                status = await self._post(delivery, headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as problem:
            error = f"{type(problem).__name__}: {problem}"
        delivery.attempts.append(Attempt(at, status, error))
        if status in policy.accepted:
            delivery.state = "delivered"

    async def _post(self, delivery: Delivery, headers: Headers) -> int:
        if self._client is None:
            self._client = httpx.AsyncClient(transport=self._transport, trust_env=False, timeout=None)  # noqa: S113 - asyncio.timeout bounds it
        answer = await self._client.post(delivery.url, content=delivery.body, headers=headers())
        return answer.status_code
