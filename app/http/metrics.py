"""What Prometheus scrapes at `/metrics`."""

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from time import time_ns
from typing import Annotated, get_args

from fastapi import Depends, Request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from app.http.admission import Admission
from app.http.current import current_request
from app.http.problems import DOMAIN_PROBLEMS, HTTP_CODES
from app.http.schemas import Timing
from app.recognizer import Outcome
from app.service import Service
from gallery import GalleryDamaged, GalleryStats, GalleryUnavailable, StorageFailed
from gallery.records import IndexState

# Those of docs/errors.md that come neither from the domain nor from Starlette; a test compares.
REQUEST_CODES = (
    "missing-key",
    "invalid-key",
    "missing-scope",
    "foreign-origin",
    "refused-preflight",
    "rate-limited",
    "overloaded",
    "deadline-exceeded",
    "unsupported-body",
    "missing-image",
    "unexpected-field",
    "too-many-images",
    "invalid-request",
    "malformed-precondition",
    "malformed-idempotency-key",
    "idempotency-key-in-use",
    "idempotency-key-reused",
    "not-ready",
    "internal-error",
    "out-of-memory",
)
STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Counters and histograms of one application; gauges are read from the service when scraped."""

    def __init__(self, service: Service, admission: Admission) -> None:
        self._service = service
        self._admission = admission
        self._registry = registry = CollectorRegistry()
        # Memory, CPU, open files, start time; the Python version.
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        build = Info("tillsight_build", "What serves.", registry=registry)
        build.info(
            {
                "version": version("tillsight"),
                "pack": service.pack.name,
                "pack_version": service.pack.version,
                "engine": service.settings.engine,
                "fingerprint": service.embedder.fingerprint,
            }
        )
        self._requests = Counter(
            "tillsight_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "tillsight_request_seconds",
            "From a request's head to the end of its answer.",
            ("route",),
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "tillsight_stage_seconds",
            "Time spent in a stage of a request.",
            ("route", "stage"),
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self._outcomes = Counter(
            "tillsight_outcomes", "Results by outcome.", ("outcome",), registry=registry
        )
        # From the start, so that a rate of unknown results has a denominator.
        for outcome in get_args(Outcome):
            self._outcomes.labels(outcome)
        self._problems = Counter(
            "tillsight_problems", "Errors by code (docs/errors.md).", ("code",), registry=registry
        )
        # From the start as well: a series that begins at 1 is no increase to Prometheus, so that an
        # alert would miss the first of its kind.
        domain = [code for _, _, code in DOMAIN_PROBLEMS]
        for code in (*domain, *HTTP_CODES.values(), *REQUEST_CODES):
            self._problems.labels(code)
        self._gallery = Gauge(
            "tillsight_gallery_size", "What the gallery holds.", ("kind",), registry=registry
        )
        self._revision = Gauge(
            "tillsight_gallery_revision", "Revision of the gallery.", registry=registry
        )
        self._index = Gauge(
            "tillsight_index_state",
            "1 for the state the index is in.",
            ("state",),
            registry=registry,
        )
        self._jobs = Gauge(
            "tillsight_jobs", "Remembered jobs by state.", ("state",), registry=registry
        )
        self._waiting = Gauge(
            "tillsight_queue_depth",
            "Requests that wait for a model: for a turn at both, or before one of them.",
            ("model",),
            registry=registry,
        )
        self._check_age = Gauge(
            "tillsight_self_check_age_seconds",
            "Since a picture last went through both networks.",
            registry=registry,
        )
        self._ready = Gauge(
            "tillsight_ready", "1 when /readyz says that it can answer.", registry=registry
        )

    def observe_stages(self, route: str, timing: Timing) -> None:
        for stage, milliseconds in timing:
            self._stages.labels(route, stage).observe(milliseconds / 1000)
        record = current_request()
        record.timing_ms, record.timed_at = timing.model_dump(), time_ns()

    def count_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._outcomes.labels(outcome).inc()

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_problem(self, code: str) -> None:
        self._problems.labels(code).inc()

    def render(self) -> bytes:
        """The text exposition format."""
        service = self._service
        # Of one that is damaged or away the figures stay as they were, and `ready` says that it is.
        with suppress(GalleryDamaged, GalleryUnavailable, StorageFailed):
            self._note_gallery(service.gallery.stats())
        for state, count in service.jobs.states().items():
            self._jobs.labels(state).set(count)
        self._waiting.labels("both").set(self._admission.waiting)
        self._waiting.labels("detector").set(service.detector.queue_depth)
        self._waiting.labels("embedder").set(service.embedder.queue_depth)
        self._check_age.set(service.check.age)
        self._ready.set(service.not_ready() is None)
        return generate_latest(self._registry)

    def _note_gallery(self, stats: GalleryStats) -> None:
        for kind, size in (
            ("products", stats.products),
            ("images", stats.images),
            ("vectors", stats.vectors),
        ):
            self._gallery.labels(kind).set(size)
        self._revision.set(stats.revision)
        for state in get_args(IndexState):
            self._index.labels(state).set(state == stats.index_state)


async def get_metrics(request: Request) -> Metrics:
    # Asynchronous as the service is.
    metrics: Metrics = request.app.state.metrics
    return metrics


MetricsDep = Annotated[Metrics, Depends(get_metrics)]
