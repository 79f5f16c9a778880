"""What Prometheus scrapes at `/metrics`."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.http.schemas import Timing
from app.recognizer import Outcome
from app.service import Service

STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Counters and histograms of one application; gauges are read from the service when scraped."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._stages = Histogram(
            "tillsight_stage_seconds",
            "Time spent in a stage of a request.",
            ("route", "stage"),
            buckets=STAGE_SECONDS,
            registry=self._registry,
        )
        self._outcomes = Counter(
            "tillsight_outcomes", "Results by outcome.", ("outcome",), registry=self._registry
        )
        self._requests = Counter(
            "tillsight_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._gallery = Gauge(
            "tillsight_gallery_size", "What the gallery holds.", ("kind",), registry=self._registry
        )
        self._revision = Gauge(
            "tillsight_gallery_revision", "Revision of the gallery.", registry=self._registry
        )
        self._waiting = Gauge(
            "tillsight_queue_depth",
            "Requests that wait for a model.",
            ("model",),
            registry=self._registry,
        )

    def observe_stages(self, route: str, timing: Timing) -> None:
        for stage, milliseconds in timing:
            self._stages.labels(route, stage).observe(milliseconds / 1000)

    def count_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._outcomes.labels(outcome).inc()

    def count_request(self, route: str, method: str, status: int) -> None:
        self._requests.labels(route, method, str(status)).inc()

    def render(self, service: Service) -> bytes:
        """The text exposition format."""
        stats = service.gallery.stats()
        for kind, size in (
            ("products", stats.products),
            ("images", stats.images),
            ("vectors", stats.vectors),
        ):
            self._gallery.labels(kind).set(size)
        self._revision.set(stats.revision)
        self._waiting.labels("detector").set(service.detector.queue_depth)
        self._waiting.labels("embedder").set(service.embedder.queue_depth)
        return generate_latest(self._registry)


def get_metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


MetricsDep = Annotated[Metrics, Depends(get_metrics)]
