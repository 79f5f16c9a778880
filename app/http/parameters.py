"""Query parameters that a call does not know are refused: misspelt, they would change nothing."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from app.http.health import OPERATION


async def refuse_unknown(request: Request) -> None:
    """For `dependencies=` of the application; what a call knows is what its description lists.

    Raises:
        RequestValidationError: a parameter is none of them.
    """
    if not request.query_params:
        return
    operation = _operation(request)
    # Monitors add parameters of their own making; what they ask has none to be misspelt.
    if operation is None or OPERATION in operation["tags"]:
        return
    known = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    if unknown := [name for name in request.query_params if name not in known]:
        takes = f"This call takes {', '.join(known)}." if known else "This call takes none."
        raise RequestValidationError(
            [
                {"loc": ("query", name[:40]), "msg": f"There is no such parameter. {takes}"}
                for name in unknown
            ]
        )


def _operation(request: Request) -> dict[str, Any] | None:
    operations = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    found: dict[str, Any] | None = operations.get(request.method.lower())
    return found
