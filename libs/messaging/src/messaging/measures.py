"""What is counted about messages."""

from datetime import datetime

from contracts.messages import TYPES
from messaging.bus import Delivery
from service_kit.metrics import Metrics

LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0)


class EventMetrics:
    """Counters of one process's consumers."""

    def __init__(self, metrics: Metrics) -> None:
        self._events = metrics.counter(
            "onefolio_events_total", "Messages settled, by what became of them.", ("queue", "type", "result")
        )
        self._lag = metrics.histogram(
            "onefolio_event_lag_seconds", "From publishing to the end of handling.", ("queue",), LAG_BUCKETS
        )
        self._parked = metrics.gauge("onefolio_parked_messages", "Messages waiting for a person.", ("queue",))

    def settled(self, delivery: Delivery, result: str, now: datetime) -> None:
        """Count one message; `result` is done, retried, parked or requeued."""
        kind = delivery.type if delivery.type in TYPES else "other"
        self._events.labels(delivery.queue, kind, result).inc()
        if result == "done" and delivery.published_at is not None:
            self._lag.labels(delivery.queue).observe(max(0.0, (now - delivery.published_at).total_seconds()))

    def parked(self, queue: str, depth: int) -> None:
        """Note the depth of a parking queue."""
        self._parked.labels(queue).set(depth)
