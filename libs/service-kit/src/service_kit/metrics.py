"""Prometheus metrics: one registry per process, bounded labels."""

import time
from collections.abc import Sequence
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .routes import method_of, route_of

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: from a cached read to the longest provider call."""

M = TypeVar("M", bound=MetricWrapperBase)


class Metrics:
    """The metrics of one process. Asking twice for one name gives the same metric.

    Names follow Prometheus' conventions and begin with ``onefolio_``; label values come from small fixed sets
    (never an id, a path or a message).
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, service: str, version: str = "0.0.0") -> None:
        self.service = service
        # a second series per series, which nobody reads
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
        self.registry = CollectorRegistry(auto_describe=True)
        self._known: dict[str, MetricWrapperBase] = {}
        ProcessCollector(registry=self.registry)
        Info("onefolio_build", "What is running.", registry=self.registry).info(
            {"service": service, "version": version}
        )

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """Return the counter of this name (``…_total``)."""
        return self._once(name, Counter, labels) or self._keep(
            name, Counter(name, documentation, labels, registry=self.registry)
        )

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        """Return the gauge of this name."""
        return self._once(name, Gauge, labels) or self._keep(
            name, Gauge(name, documentation, labels, registry=self.registry)
        )

    def histogram(
        self, name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = BUCKETS
    ) -> Histogram:
        """Return the histogram of this name (``…_seconds``, ``…_bytes``)."""
        return self._once(name, Histogram, labels) or self._keep(
            name, Histogram(name, documentation, labels, registry=self.registry, buckets=buckets)
        )

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float:
        """Return one sample's present value, 0 if it was never touched (for tests and checks)."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def _once(self, name: str, kind: type[M], labels: Sequence[str]) -> M | None:
        known = self._known.get(name)
        if known is None:
            return None
        if not isinstance(known, kind) or tuple(known._labelnames) != tuple(labels):  # noqa: SLF001  not public
            raise ValueError(f"{name} is already another metric")
        return known

    def _keep(self, name: str, metric: M) -> M:
        self._known[name] = metric
        return metric


class RequestMetrics:
    """ASGI middleware: counts and times requests by method, route template and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.counter(
            "onefolio_http_requests_total", "HTTP requests answered.", ("method", "route", "status")
        )
        self._seconds = metrics.histogram(
            "onefolio_http_request_duration_seconds",
            "Time from the request to the end of the response.",
            ("method", "route"),
        )
        self._running = metrics.gauge("onefolio_http_requests_in_progress", "HTTP requests being handled.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and record it, whatever becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "500"

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        started = time.perf_counter()
        self._running.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._running.dec()
            method, route = method_of(scope), route_of(scope)
            self._requests.labels(method, route, status).inc()
            self._seconds.labels(method, route).observe(time.perf_counter() - started)
