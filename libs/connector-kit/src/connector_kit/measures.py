"""What is counted about syncs, links and webhooks."""

from contracts.messages import SyncFinished
from service_kit.metrics import Metrics

OTHER = "other"
TRIGGERS = frozenset({"link", "schedule", "webhook", "user", "manual", "reconnect", "admin", "order"})


class ConnectorMetrics:
    """Counters of one connector; every label comes from a small fixed set."""

    def __init__(self, metrics: Metrics, provider: str) -> None:
        self._provider = provider
        self._syncs = metrics.counter(
            "onefolio_syncs_total", "Sync runs, by how they ended.", ("provider", "trigger", "status")
        )
        self._seconds = metrics.histogram(
            "onefolio_sync_duration_seconds", "Time from the claim to the end of a run.", ("provider",)
        )
        self._calls = metrics.counter(
            "onefolio_sync_provider_calls_total", "Provider calls made by sync runs.", ("provider",)
        )
        self._accounts = metrics.counter(
            "onefolio_sync_accounts_total",
            "Accounts seen by sync runs; nothing was fetched of unchanged ones.",
            ("provider", "result"),
        )
        self._transactions = metrics.counter(
            "onefolio_sync_transactions_total", "Transactions published by sync runs.", ("provider",)
        )
        self._links = metrics.counter(
            "onefolio_link_attempts_total", "Link sessions, by how they stand.", ("provider", "outcome")
        )
        self._signals = metrics.counter(
            "onefolio_signals_total", "What webhooks meant.", ("provider", "meaning", "result")
        )

        self._refreshes = metrics.counter(
            "onefolio_refreshes_total",
            "Paid refreshes, by what the provider made of them.",
            ("provider", "outcome"),
        )

        self._orders = metrics.counter(
            "onefolio_order_calls_total",
            "Calls that place, cancel or replace an order, by what became of them.",
            ("provider", "operation", "outcome"),
        )

    def traded(self, operation: str, outcome: str) -> None:
        """Count one call that changes something at a broker."""
        self._orders.labels(self._provider, operation, outcome).inc()

    def refreshed(self, outcome: str) -> None:
        """Count one paid refresh."""
        self._refreshes.labels(self._provider, outcome).inc()

    def synced(self, finished: SyncFinished) -> None:
        """Count one run."""
        trigger = finished.trigger if finished.trigger in TRIGGERS else OTHER
        self._syncs.labels(self._provider, trigger, finished.status).inc()
        self._calls.labels(self._provider).inc(finished.provider_calls)
        self._accounts.labels(self._provider, "unchanged").inc(finished.unchanged)
        self._accounts.labels(self._provider, "fetched").inc(max(0, finished.accounts - finished.unchanged))
        self._transactions.labels(self._provider).inc(finished.transactions)
        took = (finished.finished_at - finished.started_at).total_seconds()
        self._seconds.labels(self._provider).observe(max(0.0, took))

    def linked(self, outcome: str) -> None:
        """Count one move of a link session."""
        self._links.labels(self._provider, outcome).inc()

    def signalled(self, meaning: str, result: str) -> None:
        """Count one signal; ``result`` is done, unknown or ignored."""
        self._signals.labels(self._provider, meaning, result).inc()
