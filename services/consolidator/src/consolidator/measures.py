"""What the consolidator counts, beside what the consume loop counts of every message."""

from datetime import datetime

from consolidator.book import Book, changed
from consolidator.work import Work
from service_kit.metrics import Metrics

STALENESS = (60.0, 600.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0, 604_800.0)
BATCHES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


class Measures:
    """The metrics of one consolidator process."""

    def __init__(self, metrics: Metrics) -> None:
        self._batch = metrics.histogram(
            "onefolio_consolidation_batch_size", "Messages applied per batch.", buckets=BATCHES
        )
        self._seconds = metrics.histogram(
            "onefolio_consolidation_seconds", "From the start of a batch to its commit."
        )
        self._positions = metrics.counter(
            "onefolio_positions_written_total",
            "Position rows written, by what happened to them.",
            ("change",),
        )
        self._checks = metrics.counter(
            "onefolio_conservation_checks_total", "Conservation checks that came out new.", ("result",)
        )
        self._switches = metrics.counter(
            "onefolio_source_switches_total",
            "Real accounts whose counted source changed, by why the new one is counted.",
            ("reason",),
        )
        self._quarantined = metrics.counter(
            "onefolio_snapshots_quarantined_total", "Suddenly empty snapshots that were set aside."
        )
        self._staleness = metrics.histogram(
            "onefolio_holdings_staleness_seconds",
            "Age of holdings at the institution when they were applied.",
            ("provider",),
            STALENESS,
        )
        self._providers: set[str] = set()

    def batch(self, messages: int, seconds: float) -> None:
        """Count one committed batch."""
        self._batch.observe(messages)
        self._seconds.observe(seconds)

    def committed(self, work: Work) -> None:
        """Count what a committed transaction wrote, found and brought up to date."""
        for found in work.found.values():
            for change, rows in (("new", found.new), ("changed", found.changed), ("removed", found.gone)):
                if rows:
                    self._positions.labels(change).inc(len(rows))
        for user, after in work.books.items():
            self._book(work.before[user], after, work.now)

    def _book(self, before: Book, after: Book, now: datetime) -> None:
        for real_account_id, check in after.checks.items():
            if before.checks.get(real_account_id) != check:
                self._checks.labels(check.outcome).inc()
        for real in changed(before.real_accounts, after.real_accounts):
            was = before.real_accounts.get(real.real_account_id)
            if was and was.counted_account_id not in {None, real.counted_account_id}:
                self._switches.labels(real.reason.partition(":")[0]).inc()
        for account_id, held in after.held.items():
            if held.quarantine is not None and before.holding(account_id).quarantine is None:
                self._quarantined.inc()
            if held.current is not None and held is not before.held.get(account_id):
                age = (now - held.current.as_of).total_seconds()
                self._staleness.labels(self._label(after.accounts[account_id].provider)).observe(
                    max(0.0, age)
                )

    def _label(self, provider: str) -> str:
        """The provider as a label; after twenty, further ones share one."""
        if provider not in self._providers and len(self._providers) >= 20:
            return "other"
        self._providers.add(provider)
        return provider
