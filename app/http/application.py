"""The FastAPI application: routes, errors, and what every request passes on its way to them."""

from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

from app.http import (
    access,
    audit,
    calibration,
    explanation,
    feedback,
    gallery,
    health,
    jobs,
    page,
    problems,
    recognition,
    traces,
    verification,
)
from app.http.access import Authenticate
from app.http.admission import Admission
from app.http.changes import new_changes
from app.http.cors import CrossOrigin
from app.http.head import AnswerHead
from app.http.headers import SecurityHeaders
from app.http.metrics import Metrics
from app.http.parameters import refuse_unknown
from app.http.problems import AnswerFaults
from app.http.request_log import LogRequests
from app.http.traces import TraceRequests
from app.http.uploads import LimitBody
from app.service import Service
from models.processor import available_cores

DESCRIPTION = """Product recognition for tills, kiosks and shelves: a photograph in, the products in
it out. A new product is taught by a handful of photographs, with no training.

Every error is an RFC 9457 problem document with a stable `code` and advice in `detail`."""

TAGS = {
    "recognition": "A photograph in, what it shows out.",
    "gallery": "Products and their reference photographs, and how well these tell them apart.",
    "feedback": "What people say of results, and the queue in which it is reviewed.",
    "jobs": "Work that outlasts its request: imports, and building the index again.",
    "operation": "For orchestrators and monitoring.",
}


def create_app(service: Service) -> FastAPI:
    """The application over a service that has been started; whoever started it closes it."""
    settings = service.settings
    # The documentation page must work without internet: its assets are served from here.
    app: FastAPI = FastAPIOffline(
        title="TillSight",
        version=version("tillsight"),
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        redoc_url=None,
        # A photograph is not sent twice because of a slash: such a path is not found.
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown)],
    )
    app.state.service = service
    app.state.admission = admission = Admission(
        # One for each network, and as many as there are cores that decode and crop.
        places=available_cores() + 2,
        most=settings.max_pending,
        patience=settings.deadline_seconds,
        cores=service.cores,
    )
    app.state.changes = new_changes()
    app.state.metrics = metrics = Metrics(service, admission)
    routers = (
        page.router,
        recognition.router,
        verification.router,
        explanation.router,
        gallery.router,
        calibration.router,
        audit.router,
        feedback.router,
        jobs.router,
        health.router,
    )
    for router in routers:
        app.include_router(router)
    access.document(app.openapi())
    problems.document(app.openapi())
    problems.install(app)
    # The last added is the first that a request meets.
    app.add_middleware(AnswerFaults)
    # Photographs are far smaller than the largest request; one such alone is always let in.
    app.add_middleware(LimitBody, most_held=4 * settings.max_request_bytes)
    app.add_middleware(
        Authenticate,
        ring=service.keys,
        origins=settings.origins,
    )
    app.add_middleware(AnswerHead)
    app.add_middleware(CrossOrigin, origins=settings.origins)
    app.add_middleware(SecurityHeaders)
    if (provider := traces.provider()) is not None:
        app.add_middleware(TraceRequests, provider=provider)
    app.add_middleware(LogRequests, metrics=metrics)
    return app
