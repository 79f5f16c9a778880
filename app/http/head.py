"""HEAD: what GET would answer, without the body (RFC 9110, 9.3.2); monitors ask so."""

from starlette.types import ASGIApp, Receive, Scope, Send


class AnswerHead:
    """ASGI middleware: the routes see a GET. The server leaves the body of the answer out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)
