"""The topology: every exchange, queue and binding, from one table.

Per work queue: retry tiers (a fixed delay each, then back to the queue through the default exchange) and a parking
queue. Arguments cannot be changed on an existing queue; a change needs a new name or a migration.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from contracts.topics import COMMAND_EXCHANGE, EVENT_EXCHANGE, connector_binding, connector_queue

CONSOLIDATOR = "consolidator"
GATEWAY = "gateway"
GATEWAY_STREAM = "gateway.stream"
PROVIDERS = ("snaptrade", "plaid")
DELIVERY_LIMIT = 20
REJECT_PUBLISH, DROP_HEAD = "reject-publish", "drop-head"
STREAM_LENGTH = 50_000
MAX_LENGTH = 500_000
# In an AMQP URL: goes before every name, so that tests can share a broker.
PREFIX_PARAMETER = "name_prefix"
# A parked message is looked at many times; brokers from 4.0 on would drop it after 20 looks.
UNLIMITED_DELIVERIES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Tier:
    """One retry delay."""

    name: str
    milliseconds: int


TIERS = (
    Tier("5s", 5_000),
    Tier("30s", 30_000),
    Tier("2m", 120_000),
    Tier("10m", 600_000),
    Tier("1h", 3_600_000),
)


@dataclass(frozen=True, slots=True)
class Binding:
    """An exchange's messages whose routing key matches the pattern."""

    exchange: str
    pattern: str


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """A queue as the broker is asked for it."""

    name: str
    arguments: dict[str, Any]
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """A consuming service's queue; replicas compete for its messages."""

    name: str
    bindings: tuple[Binding, ...]
    purpose: str
    tiers: tuple[Tier, ...] = TIERS
    max_length: int = MAX_LENGTH
    delivery_limit: int = DELIVERY_LIMIT
    overflow: str = REJECT_PUBLISH

    @property
    def parked(self) -> str:
        """Where messages wait for a person."""
        return f"{self.name}.parked"

    def retry(self, tier: Tier) -> str:
        """Where messages wait for the tier's delay."""
        return f"{self.name}.retry.{tier.name}"

    def declarations(self, prefix: str = "") -> list[QueueDeclaration]:
        """The queue, its retry tiers and its parking queue; the targets come before what points at them."""
        parked = QueueDeclaration(prefix + self.parked, parking_arguments())
        work = QueueDeclaration(
            prefix + self.name,
            work_arguments(prefix + self.parked, self.max_length, self.delivery_limit, self.overflow),
            tuple(Binding(prefix + binding.exchange, binding.pattern) for binding in self.bindings),
        )
        tiers = [
            QueueDeclaration(
                prefix + self.retry(tier),
                tier_arguments(prefix + self.name, tier.milliseconds, self.max_length),
            )
            for tier in self.tiers
        ]
        return [parked, work, *tiers]


@dataclass(frozen=True, slots=True)
class Topology:
    """Exchanges and work queues."""

    exchanges: tuple[str, ...]
    queues: tuple[WorkQueue, ...]

    def queue(self, name: str) -> WorkQueue:
        """The work queue of that name; KeyError when there is none."""
        for queue in self.queues:
            if queue.name == name:
                return queue
        raise KeyError(f"no work queue {name!r}; there are {', '.join(queue.name for queue in self.queues)}")

    def declarations(self, prefix: str = "") -> list[QueueDeclaration]:
        """Every queue of the topology."""
        return [declaration for queue in self.queues for declaration in queue.declarations(prefix)]

    def with_tiers(self, tiers: tuple[Tier, ...]) -> "Topology":
        """The same topology with other retry delays."""
        return replace(self, queues=tuple(replace(queue, tiers=tiers) for queue in self.queues))


def work_arguments(
    parked: str, max_length: int, delivery_limit: int, overflow: str = REJECT_PUBLISH
) -> dict[str, Any]:
    """Arguments of a work queue: what crashes its consumers too often is parked, what does not fit is refused.

    With ``drop-head`` the oldest make room instead; these, and what crashes its consumers, nobody keeps.
    """
    limits = {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
        "x-overflow": overflow,
        "x-max-length": max_length,
    }
    if overflow == DROP_HEAD:
        return limits
    return limits | {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": parked,
        # Only together with reject-publish; with drop-head the broker falls back to at-most-once.
        "x-dead-letter-strategy": "at-least-once",
    }


def tier_arguments(target: str, milliseconds: int, max_length: int) -> dict[str, Any]:
    """Arguments of a retry tier. The delay is the queue's: per-message delays block behind slower ones."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": milliseconds,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": target,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-max-length": max_length,
    }


def parking_arguments() -> dict[str, Any]:
    """Arguments of a parking queue: no expiry, no limit; its depth is watched instead."""
    return {"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED_DELIVERIES}


CONSOLIDATED_EVENTS = (
    "onefolio.connection.*.v1",
    "onefolio.accounts.snapshot.v1",
    "onefolio.holdings.snapshot.v1",
    "onefolio.balances.snapshot.v1",
    "onefolio.transactions.batch.v1",
    "onefolio.orders.snapshot.v1",
    "onefolio.balance_history.snapshot.v1",
    "onefolio.sync.started.v1",
    "onefolio.sync.finished.v1",
    "onefolio.identity.decided.v1",
    "onefolio.snapshot.judged.v1",
    "onefolio.portfolio.defined.v1",
    "onefolio.consolidation.requested.v1",
)
# What became of the refreshes that were paid for.
GATEWAY_EVENTS = ("onefolio.refresh.settled.v1",)
# What users watch.
STREAMED_EVENTS = (
    "onefolio.connection.*.v1",
    "onefolio.sync.*.v1",
    "onefolio.refresh.settled.v1",
    "onefolio.positions.consolidated.v1",
    "onefolio.account.decision_needed.v1",
    "onefolio.account.break_found.v1",
    "onefolio.orders.snapshot.v1",
)


def onefolio(providers: Iterable[str] = PROVIDERS, tiers: tuple[Tier, ...] = TIERS) -> Topology:
    """Onefolio's topology; every provider's connector has a queue named after it."""
    ledger = WorkQueue(
        CONSOLIDATOR,
        _events(CONSOLIDATED_EVENTS),
        "snapshots and connection changes, applied to the portfolio",
        tiers,
    )
    connectors = tuple(
        WorkQueue(
            connector_queue(provider),
            (Binding(COMMAND_EXCHANGE, connector_binding(provider)),),
            f"commands for the {provider} connector",
            tiers,
        )
        for provider in providers
    )
    charges = WorkQueue(
        GATEWAY, _events(GATEWAY_EVENTS), "what became of paid refreshes, for the ledger", tiers
    )
    stream = WorkQueue(
        GATEWAY_STREAM,
        _events(STREAMED_EVENTS),
        "what users watch; while nobody takes it the oldest are dropped, for a stream only announces",
        tiers,
        max_length=STREAM_LENGTH,
        overflow=DROP_HEAD,
    )
    return Topology((EVENT_EXCHANGE, COMMAND_EXCHANGE), (ledger, charges, stream, *connectors))


def _events(patterns: Iterable[str]) -> tuple[Binding, ...]:
    return tuple(Binding(EVENT_EXCHANGE, pattern) for pattern in patterns)


def connector_topology(provider: str, tiers: tuple[Tier, ...] = TIERS) -> Topology:
    """What one connector needs: a provider nobody listed brings its own queue."""
    listed = PROVIDERS if provider in PROVIDERS else (*PROVIDERS, provider)
    return onefolio(listed, tiers)
