"""What refreshes do and cost, as Prometheus sees it."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from service_kit.metrics import Metrics

OTHER = "other"


class ChargeMeasures:
    """Counts refreshes and dollars; providers nobody configured count as ``other``."""

    def __init__(self, metrics: Metrics, providers: Collection[str]) -> None:
        self._known = frozenset(providers)
        self._refreshes = metrics.counter(
            "onefolio_refreshes_total",
            "Refreshes that were asked for, by what became of them.",
            ("provider", "result"),
        )
        self._dollars = metrics.counter(
            "onefolio_provider_cost_dollars_total", "What providers charged, in USD.", ("provider", "kind")
        )
        self._open = metrics.gauge(
            "onefolio_charges_unsettled",
            "Refreshes of which nobody has said what became of them.",
            ("state",),
        )

    def refreshed(self, provider: str, result: str) -> None:
        """Count one refresh that was queued, read_again, refused for a reason, or settled."""
        self._refreshes.labels(self._name(provider), result).inc()

    def charged(self, provider: str, kind: str, amount: Decimal) -> None:
        """Count what was charged."""
        self._dollars.labels(self._name(provider), kind).inc(float(amount))

    def unsettled(self, found: Mapping[str, int]) -> None:
        """Show how many charges are open, by state."""
        for state in ("reserved", "unknown"):
            self._open.labels(state).set(found.get(state, 0))

    def _name(self, provider: str) -> str:
        return provider if provider in self._known else OTHER
