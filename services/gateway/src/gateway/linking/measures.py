"""How linking goes, as Prometheus sees it."""

from gateway.routing.coverage import Coverage
from service_kit.metrics import Metrics

OTHER = "other"


class LinkMeasures:
    """Counts link attempts; institutions nobody listed count as ``other``, so that the labels stay few."""

    def __init__(self, metrics: Metrics, coverage: Coverage) -> None:
        self._coverage = coverage
        self._attempts = metrics.counter(
            "onefolio_link_attempts_total",
            "Link sessions by how far they came.",
            ("provider", "institution", "outcome"),
        )

    def count(self, provider: str | None, institution: str, outcome: str) -> None:
        """Count one attempt reaching an outcome (started, refused, not_started, or a final link status)."""
        known = self._coverage.find(institution)
        self._attempts.labels(provider or "none", known.slug if known else OTHER, outcome).inc()
