"""What has happened since the sandbox started: the world as changed, calls, faults, latency, limits, webhooks.

Both faces and the control API share one `State`. Everything runs on one event loop and no method here awaits between
reading and writing, so a method call is atomic; a face must keep to that in its own store.

What a face does:

1. keeps its own store (users, items, tokens) and registers itself: `state.faces["plaid"] = face`, see `Face`;
2. wraps its ASGI app in `traffic.Traffic(app, state, "plaid", routes)`: that middleware counts the call, applies
   latency and faults by path template, and puts a `Call` into `scope["sandbox.call"]` for the face to complete
   (`user`, `connection`, `billable`); see `traffic.note`;
3. reads holdings only through `state.world` at the moment of the call, so changes made by control are seen;
4. sends webhooks only through `state.webhooks.send(...)`, set by `main` to the real sender.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from provider_sandbox.faults import Faults
from provider_sandbox.world import World

_log = logging.getLogger(__name__)


class WebhookSender(Protocol):
    """Delivers webhooks as the provider does, retries included."""

    async def send(self, provider: str, url: str, body: bytes, headers: Callable[[], dict[str, str]]) -> None:
        """Schedule the delivery of `body` to `url` and return at once.

        `headers` is called again before each attempt, because a signature may carry the time of sending.
        """

    def deliveries(self) -> list[dict[str, Any]]:
        """Every delivery so far, oldest first, as JSON values: provider, url, body, attempts, status."""

    def reset(self) -> None:
        """Forget deliveries and drop the pending ones."""

    async def aclose(self) -> None:
        """Stop delivering."""


class Face(Protocol):
    """What control needs of a provider face."""

    provider: str

    def reset(self) -> None:
        """Forget users, connections and tokens."""

    def connections(self) -> list[dict[str, Any]]:
        """Every connection (SnapTrade authorization, Plaid Item) as JSON: id, user, institution, status, accounts.

        `accounts` is a list of `{"id": provider's account id, "key": world's account key}`.
        """

    async def break_connection(self, connection_id: str) -> bool:
        """Break it as a changed password would, webhook included; False when there is no such connection."""

    async def repair_connection(self, connection_id: str) -> bool:
        """Repair it as the user signing in again would, webhook included; False when there is none."""

    async def account_changed(self, account_key: str) -> int:
        """Announce changed holdings of a world account by webhook; returns how many connections show it."""

    def connection_of(self, path: Mapping[str, str], body: bytes) -> str | None:
        """The connection a request is about, by its path parameters or its body; None when it is about none or many."""

    async def announce(self, connection_id: str) -> bool:
        """Tell by webhook that a connection has news, whether it has or not; False when there is no such connection."""


class SilentWebhooks:
    """A sender that only keeps what it was asked to send; used by tests and where no listener is set."""

    def __init__(self) -> None:
        self._sent: list[dict[str, Any]] = []

    async def send(self, provider: str, url: str, body: bytes, headers: Callable[[], dict[str, str]]) -> None:
        """Keep the delivery."""
        self._sent.append({"provider": provider, "url": url, "body": body.decode(), "headers": headers()})

    def deliveries(self) -> list[dict[str, Any]]:
        """Return what was sent."""
        return list(self._sent)

    def reset(self) -> None:
        """Forget what was sent."""
        self._sent.clear()

    async def aclose(self) -> None:
        """Nothing is pending."""


@dataclass(slots=True)
class Call:
    """One request a face received. `endpoint` is `METHOD /path/{template}`; `fault` names what control injected."""

    provider: str
    endpoint: str
    at: datetime
    user: str | None = None
    connection: str | None = None
    account: str | None = None
    billable: str | None = None
    status: int = 0
    fault: str | None = None
    request_id: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the provider took the request (and would charge for it, where billable)."""
        return 200 <= self.status < 300

    def as_json(self) -> dict[str, Any]:
        """Return the call as plain JSON values."""
        return {
            "provider": self.provider,
            "endpoint": self.endpoint,
            "at": self.at.isoformat(),
            "user": self.user,
            "connection": self.connection,
            "account": self.account,
            "status": self.status,
            "accepted": self.accepted,
            "billable": self.billable,
            "fault": self.fault,
            "request_id": self.request_id,
        }


class Ledger:
    """Every provider call received, oldest first."""

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        """Record a call; it is completed while it is answered."""
        self._calls.append(call)

    def calls(
        self, provider: str | None = None, endpoint: str | None = None, user: str | None = None
    ) -> list[Call]:
        """Return the calls that match every given filter."""
        wanted = {"provider": provider, "endpoint": endpoint, "user": user}
        filters = {name: value for name, value in wanted.items() if value is not None}
        return [c for c in self._calls if all(getattr(c, name) == value for name, value in filters.items())]

    def counts(self) -> dict[str, dict[str, int]]:
        """Count calls per provider and endpoint."""
        counted: dict[str, Counter[str]] = {}
        for call in self._calls:
            counted.setdefault(call.provider, Counter())[call.endpoint] += 1
        return {provider: dict(counter) for provider, counter in counted.items()}

    def billed(self) -> dict[str, int]:
        """Count accepted billable calls per `provider:kind`: the sandbox's own invoice."""
        return dict(Counter(f"{c.provider}:{c.billable}" for c in self._calls if c.billable and c.accepted))

    def reset(self) -> None:
        """Forget every call."""
        self._calls.clear()


def _nothing() -> None:
    """Nobody wants to know."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class State:
    """The one shared state of a running sandbox. `clock` is replaceable so that tests can move time.

    `changed` is to be called after a change that a request for reading, or work behind an answer, has made: a memory
    that outlives the process listens to it. Changes made by other requests need no such call.
    """

    world: World = field(default_factory=World.fresh)
    ledger: Ledger = field(default_factory=Ledger)
    faults: Faults = field(default_factory=Faults)
    webhooks: WebhookSender = field(default_factory=SilentWebhooks)
    faces: dict[str, Face] = field(default_factory=dict)
    rate_limits: dict[str, int] = field(default_factory=dict)
    clock: Callable[[], datetime] = _utc_now
    changed: Callable[[], None] = _nothing
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _failures: list[BaseException] = field(default_factory=list)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something after the answer (a queued refresh, webhooks); a failure is logged and surfaces in `drain`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.changed()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failures.append(error)
            _log.error("background work failed", exc_info=error)

    async def drain(self) -> None:
        """Wait until nothing spawned is left; raises what a piece of work raised."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._failures:
            raise self._failures.pop(0)

    async def aclose(self) -> None:
        """Cancel what is still running and stop the webhook sender."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.webhooks.aclose()

    def reset(self) -> None:
        """Back to the beginning: fresh world, no users, no faults, empty ledger, nothing pending, limits as set up."""
        for task in tuple(self._tasks):
            task.cancel()
        self.rate_limits.clear()
        self.world = World.fresh()
        self.ledger.reset()
        self.faults.reset()
        self.webhooks.reset()
        for face in self.faces.values():
            face.reset()
