"""Receiving: verify, store once, answer. What is published, and when, is the relay's business."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from persistence.database import DatabaseUnavailable
from service_kit import tracing
from service_kit.clock import Clock
from service_kit.metrics import Metrics
from webhooks.delivery import Age, Authentic, CannotVerifyError, ForgedError, RawDelivery
from webhooks.store import Entry, Store
from webhooks.verifiers import Verifier

log = structlog.get_logger(__name__)

UNKNOWN = "unknown"
OTHER = "other"
KINDS = frozenset(
    {
        "USER_REGISTERED",
        "USER_DELETED",
        "CONNECTION_ATTEMPTED",
        "CONNECTION_ADDED",
        "CONNECTION_DELETED",
        "CONNECTION_BROKEN",
        "CONNECTION_FIXED",
        "CONNECTION_UPDATED",
        "CONNECTION_FAILED",
        "NEW_ACCOUNT_AVAILABLE",
        "ACCOUNT_REMOVED",
        "ACCOUNT_TRANSACTIONS_INITIAL_UPDATE",
        "ACCOUNT_TRANSACTIONS_UPDATED",
        "ACCOUNT_HOLDINGS_UPDATED",
        "TRADE_DETECTION",
        "TRADE_UPDATE",
        "HOLDINGS/DEFAULT_UPDATE",
        "INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE",
        "INVESTMENTS_TRANSACTIONS/HISTORICAL_UPDATE",
        "ITEM/ERROR",
        "ITEM/LOGIN_REPAIRED",
        "ITEM/PENDING_DISCONNECT",
        "ITEM/PENDING_EXPIRATION",
        "ITEM/NEW_ACCOUNTS_AVAILABLE",
        "ITEM/USER_PERMISSION_REVOKED",
        "ITEM/USER_ACCOUNT_REVOKED",
        "ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED",
        "LINK/ITEM_ADD_RESULT",
        "LINK/SESSION_FINISHED",
        "LINK/EVENTS",
        "TRANSACTIONS/SYNC_UPDATES_AVAILABLE",
    }
)
"""Values of the label `type`; every other kind is stored and published as it is, but counted as `other`."""


class Outcome(StrEnum):
    """What became of a delivery."""

    STORED = "stored"
    LATE = "late"
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"
    FORGED = "forged"
    UNVERIFIABLE = "unverifiable"
    UNAVAILABLE = "unavailable"
    UNKNOWN_PROVIDER = "unknown_provider"


class WebhookMetrics:
    """What is counted."""

    def __init__(self, metrics: Metrics) -> None:
        self._received = metrics.counter(
            "onefolio_webhooks_total", "Webhooks received.", ("provider", "type", "result")
        )
        self._refused = metrics.counter(
            "onefolio_webhook_refusals_total",
            "Webhooks that were not believed, and why.",
            ("provider", "reason"),
        )

    def received(self, provider: str, kind: str, outcome: Outcome) -> None:
        """Count a delivery."""
        self._received.labels(provider, kind, outcome).inc()

    def refused(self, provider: str, reason: str) -> None:
        """Count why one was not believed."""
        self._refused.labels(provider, reason).inc()


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes deliveries in.

    Attributes:
        verifiers: provider → its verifier; deliveries for others are refused.
        store: where they are kept.
        stored: called after a new delivery was committed.
    """

    verifiers: Mapping[str, Verifier]
    store: Store
    stored: Callable[[], None]
    clock: Clock
    metrics: WebhookMetrics

    async def receive(self, raw: RawDelivery) -> Outcome:
        """Take one delivery in; what is stored is committed when this returns."""
        verifier = self.verifiers.get(raw.provider)
        if verifier is None:
            self.metrics.received(UNKNOWN, UNKNOWN, Outcome.UNKNOWN_PROVIDER)
            return Outcome.UNKNOWN_PROVIDER
        try:
            authentic = await verifier.verify(raw)
        except ForgedError as error:
            self.metrics.refused(raw.provider, error.reason)
            return self._done(raw, UNKNOWN, Outcome.FORGED, reason=error.reason)
        except CannotVerifyError as error:
            return self._done(raw, UNKNOWN, Outcome.UNVERIFIABLE, reason=str(error))
        return await self._keep(raw, authentic)

    async def _keep(self, raw: RawDelivery, authentic: Authentic) -> Outcome:
        entry = Entry(raw, authentic, self.clock.now(), tracing.outgoing())
        try:
            new = await self.store.add(entry)
        except DatabaseUnavailable as error:
            return self._done(raw, authentic.kind, Outcome.UNAVAILABLE, reason=str(error))
        outcome = _outcome(authentic.age, new=new)
        if outcome in {Outcome.STORED, Outcome.LATE}:
            self.stored()
        return self._done(raw, authentic.kind, outcome)

    def _done(self, raw: RawDelivery, kind: str, outcome: Outcome, **fields: str) -> Outcome:
        self.metrics.received(raw.provider, kind if kind in {*KINDS, UNKNOWN} else OTHER, outcome)
        # A flood of forgeries must not become a flood of log lines: they are counted.
        write = log.debug if outcome is Outcome.FORGED else log.info
        write("webhook.received", provider=raw.provider, kind=kind, result=outcome, **fields)
        return outcome


def _outcome(age: Age, *, new: bool) -> Outcome:
    if age is Age.TOO_OLD:
        return Outcome.TOO_OLD
    if not new:
        return Outcome.DUPLICATE
    return Outcome.LATE if age is Age.LATE else Outcome.STORED
