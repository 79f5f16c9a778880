"""`/healthz`, `/readyz`, `/metrics`: for orchestrators and monitoring."""

from fastapi import APIRouter, Response

from app.http.metrics import MetricsDep
from app.http.problems import RequestProblem
from app.http.schemas import Health
from app.http.state import ServiceDep

OPERATION = "operation"
router = APIRouter(tags=[OPERATION])


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """The process answers; nothing else is looked at."""
    return Health(status="ok")


@router.get("/readyz", summary="Can it answer?")
def readyz(service: ServiceDep) -> Health:
    """Both networks answered lately, with a unit vector, and the index agrees with the database."""
    reason = service.not_ready()
    if reason:
        raise RequestProblem(503, "not-ready", reason)
    return Health(status="ready")


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def metrics(metrics: MetricsDep) -> Response:
    """Prometheus text format."""
    return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
