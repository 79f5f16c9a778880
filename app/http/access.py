"""Who may call what: a key in `Authorization: Bearer`, checked before anything else is read."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app import keys
from app.http.current import current_request
from app.http.problems import RequestProblem, describe, responses, to_response
from app.http.rates import Rates
from gallery import Author, authored

Access = Literal["open"] | tuple[keys.Scope, ...]
_TILLS = (keys.Scope.RECOGNIZE,)
_OFFICE = (keys.Scope.GALLERY,)
_OPERATORS = (keys.Scope.ADMIN,)

# Of which scopes a call needs one. The first entry that is the path, or a folder it lies in,
# decides; one that ends in a slash is for what lies in the folder only, one with a method for
# calls by it. What is not listed needs a key of any scope, so that a route that is forgotten here
# is not open.
ACCESS: dict[str, Access] = {
    "/feedback/": _OFFICE,
    "POST /feedback": _TILLS,
    "/feedback": _OFFICE,
    "/": "open",
    "/page": "open",
    "/healthz": "open",
    "/readyz": "open",
    "/docs": "open",
    "/openapi.json": "open",
    "/static-offline-docs": "open",
    "/detect": _TILLS,
    "/embed": _TILLS,
    "/recognize": _TILLS,
    "/verify": _TILLS,
    "/explain": _TILLS,
    "/gallery/rebuild": _OPERATORS,
    "/metrics": _OPERATORS,
    # What a till shows of candidates.
    "GET /gallery/products/": _TILLS + _OFFICE,
    "GET /gallery/images/": _TILLS + _OFFICE,
    "/gallery": _OFFICE,
    "/jobs": _OFFICE,
}

# No registrar has names in these (RFC 6761, 6762, 8375, and ICANN's for `internal`).
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")


def access_to(method: str, path: str) -> Access | None:
    """The scopes of which a call needs one; None where any key does."""
    for entry, access in ACCESS.items():
        verb, _, prefix = entry.rpartition(" ")
        # Below "/" alone there is nothing: "//gallery" is no open path.
        below = prefix != "/" and path.startswith(f"{prefix.rstrip('/')}/")
        if verb in ("", method) and (path == prefix or below):
            return access
    return None


class Authenticate:
    """ASGI middleware: lets pass what the caller's key allows, as often as it allows.

    Without keys everybody is let in, but no web page of another origin: what an operator's browser
    can reach, the loopback above all, can be reached by whatever page it shows.
    """

    def __init__(self, app: ASGIApp, ring: keys.KeyRing, *, origins: Sequence[str]) -> None:
        self._app = app
        self._ring = ring
        self._rates = Rates()
        self._origins = {*origins}
        self._hosts = {_name_of(origin.partition("://")[2]) for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            access = access_to(scope["method"], scope["path"])
            headers = Headers(scope=scope)
            try:
                if access != "open" and self._ring.required:
                    self._check_key(access, headers)
                elif access != "open":
                    self._check_origin(headers)
            except RequestProblem as problem:
                await to_response(describe(problem), problem.headers)(scope, receive, send)
                return
            caller = current_request()
            with authored(Author(caller.key, caller.id)):
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_key(self, access: tuple[keys.Scope, ...] | None, headers: Headers) -> None:
        key = self._presented(headers.get("authorization"))
        current_request().key = key.label
        if access is not None and not {*access} & {*key.scopes}:
            raise RequestProblem(
                403,
                "missing-scope",
                f"The key {key.name!r} is for {', '.join(key.scopes)}; this call needs "
                f"{' or '.join(access)}.",
                {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{access[0]}"'},
            )
        wait = self._rates.take(key)
        if wait is not None:
            raise RequestProblem(
                429,
                "rate-limited",
                f"The key {key.name!r} may call {key.per_minute} times a minute; wait {wait} s.",
                {"Retry-After": str(wait)},
            )

    def _presented(self, authorization: str | None) -> keys.Key:
        if authorization is None:
            raise RequestProblem(
                401,
                "missing-key",
                "This call needs a key: curl -H 'Authorization: Bearer tillsight_…'. "
                "The operator makes one with `tillsight keys create`.",
                {"WWW-Authenticate": "Bearer"},
            )
        scheme, _, token = authorization.partition(" ")
        key = self._ring.find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise RequestProblem(
                401,
                "invalid-key",
                "This is not a key in use: it is mistyped, revoked or of another service.",
                {"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        return key

    def _check_origin(self, headers: Headers) -> None:
        host = headers.get("host", "")
        origin = headers.get("origin")
        # A name that someone made point here (DNS rebinding) is its own origin, so the name counts
        # as well.
        own = origin is None or origin.partition("://")[2] == host
        name = _name_of(host)
        own_name = name is not None and (_is_local(name) or name in self._hosts)
        if "*" not in self._origins and not (own_name and (own or origin in self._origins)):
            raise RequestProblem(
                403,
                "foreign-origin",
                "A service without keys is not for web pages of other origins, nor called by names "
                "that anybody may have made point here. Make keys (`tillsight keys create`), or "
                "name the origin in TILLSIGHT_CORS_ORIGINS, such as https://till.example.",
            )


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def document(schema: dict[str, Any]) -> None:
    """Write into an OpenAPI document what each operation needs, and how it is refused."""
    schema.setdefault("components", {})["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key from `tillsight keys create`. A service without keys asks none.",
        }
    }
    refusals = {str(status): entry for status, entry in responses(401, 403, 429).items()}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            access = access_to(method.upper(), path)
            if access == "open":
                operation["security"] = []
                continue
            operation["security"] = [{"key": [scope]} for scope in access or ()] or [{"key": []}]
            operation["responses"] |= refusals


def _name_of(host: str) -> str | None:
    """A `Host` without its port, in lower case; None where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None


def _is_local(name: str) -> bool:
    """Whether nobody can have registered a host's name: an address, no dot, or a private domain."""
    if "." not in name or name.endswith(_PRIVATE):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
