"""Faults and latency that control can set, by provider and endpoint; pure bookkeeping.

An endpoint is `METHOD /path/{template}`, `/path/{template}` for any method, or `*` for all of a provider.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

FaultKind = Literal[
    "status",  # answer `status` with `body` (and `headers`) instead of the real answer
    "drop",  # close the connection without an answer
    "slow_drip",  # send the real answer in small pieces spread over `seconds`
    "truncate",  # stop in the middle of the real body, but end the answer regularly
    "html",  # an HTML page with status `status`, as a gateway in trouble sends
    "missing_list",  # the real answer without its list(s)
    "empty_list",  # the real answer with its list(s) empty
    "partial",  # the real answer with only the first half of its list(s)
]
BEFORE: frozenset[str] = frozenset({"status", "drop", "html"})


@dataclass(slots=True)
class Fault:
    """One fault. `times` None means for ever; `member` names the list meant, None means every top-level list.

    `connection` is the id of the one connection meant, None means all; requests that are about no single connection
    (listing all of a user's) never meet such a fault. `after` lets the request take effect before its answer is lost: an outcome the client cannot know. The faults
    that change the real answer always run after it.
    """

    provider: str
    endpoint: str
    kind: FaultKind
    times: int | None = None
    status: int = 500
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 5.0
    member: str | None = None
    after: bool = False
    connection: str | None = None

    def hits(self, provider: str, endpoint: str) -> bool:
        """Whether a call of `METHOD /template` at a provider meets this fault, if the connection is the one meant."""
        return _matches(self.provider, self.endpoint, provider, endpoint)


@dataclass(slots=True)
class Latency:
    """Seconds to wait before answering calls that match."""

    provider: str
    endpoint: str
    seconds: float


def _matches(provider: str, pattern: str, called: str, endpoint: str) -> bool:
    if provider not in {"*", called}:
        return False
    return pattern in {"*", endpoint} or endpoint.split(" ", 1)[-1] == pattern


class Faults:
    """The faults and latencies in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._latency: list[Latency] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force, after the ones already there."""
        self._faults.append(fault)

    def set_latency(self, provider: str, endpoint: str, seconds: float) -> None:
        """Set the waiting time of an endpoint; replaces what was set for the same pattern, 0 removes it."""
        self._latency = [i for i in self._latency if (i.provider, i.endpoint) != (provider, endpoint)]
        if seconds > 0:
            self._latency.append(Latency(provider, endpoint, seconds))

    def asks_for_connection(self, provider: str, endpoint: str) -> bool:
        """Whether it matters for a call which connection it is about."""
        return any(fault.connection and fault.hits(provider, endpoint) for fault in self._faults)

    def take(self, provider: str, endpoint: str, connection: str | None = None) -> Fault | None:
        """Return the first matching fault and use it up once."""
        for fault in self._faults:
            if fault.connection in {None, connection} and fault.hits(provider, endpoint):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def remove(self, connection: str) -> int:
        """Remove the faults of one connection; returns how many there were."""
        kept = [fault for fault in self._faults if fault.connection != connection]
        removed = len(self._faults) - len(kept)
        self._faults[:] = kept
        return removed

    def latency(self, provider: str, endpoint: str) -> float:
        """Return the longest matching waiting time in seconds."""
        found = (i.seconds for i in self._latency if _matches(i.provider, i.endpoint, provider, endpoint))
        return max(found, default=0.0)

    def listed(self) -> list[Fault]:
        """Return the faults in force, first to be met first."""
        return list(self._faults)

    def reset(self) -> None:
        """Remove every fault and latency."""
        self._faults.clear()
        self._latency.clear()
