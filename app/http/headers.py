"""Headers that keep a browser from doing with an answer what it is not for."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# https://owasp.org/www-project-secure-headers/; TLS and its HSTS are the proxy's.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# The page's script is in the page; everything it loads is ours.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'"
)


class SecurityHeaders:
    """ASGI middleware: puts them on every answer; a route's own are left as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(HEADERS)
        if scope["path"].startswith("/docs"):
            headers["Content-Security-Policy"] = DOCS_POLICY
        elif scope["path"].startswith("/static-offline-docs/"):
            headers["Cache-Control"] = "max-age=3600"

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in headers.items():
                    own.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)
