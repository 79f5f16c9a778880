"""The FastAPI application: routes, errors, limits."""

from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import gallery, health, jobs, problems, recognition
from app.http.metrics import Metrics
from app.http.uploads import LimitBody
from app.service import Service

DESCRIPTION = """Product recognition for tills, kiosks and shelves: a photograph in, the products in
it out. A new product is taught by a handful of photographs, with no training.

Every error is an RFC 9457 problem document with a stable `code` and advice in `detail`."""


def create_app(service: Service) -> FastAPI:
    """The application over a service that has been started; whoever started it closes it."""
    # The documentation page must work without internet: its assets are served from here.
    app: FastAPI = FastAPIOffline(
        title="TillSight",
        version=version("tillsight"),
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redoc_url=None,
    )
    app.state.service = service
    app.state.metrics = metrics = Metrics()
    for router in (recognition.router, gallery.router, jobs.router, health.router):
        app.include_router(router)
    problems.install(app)
    app.add_middleware(
        LimitBody,
        max_upload_bytes=service.settings.max_request_bytes,
        max_archive_bytes=service.settings.max_import_bytes,
    )
    app.add_middleware(CountRequests, metrics=metrics)
    return app


class CountRequests:
    """ASGI middleware: counts answers by route, method and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The route's pattern, not the path: ids would make a series each.
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.count_request(route, scope["method"], message["status"])
            await send(message)

        await self._app(scope, receive, counted)
