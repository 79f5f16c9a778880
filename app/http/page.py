"""The page at `/`: plain ES modules beside this package, one folder, no build.

Its files are under a path that names their content, so that a browser keeps them for good and a new
release is seen at once. `/` itself is asked for every time; it is small.
"""

from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

PAGE = Path(__file__).parents[1] / "page"
INDEX = "index.html"
# blob: the photograph that was chosen, and thumbnails, which an <img> could not ask for with a key.
POLICY = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

_FILES = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.is_file()}
_DIGEST = sha256(b"".join(name.encode() + data for name, data in _FILES.items())).hexdigest()[:16]
_ASSETS = f"/page/{_DIGEST}"
# All at once: the browser would learn of a module only from the one that imports it.
_PRELOAD = "\n  ".join(
    f'<link rel="modulepreload" href="{_ASSETS}/{name}">'
    for name in _FILES
    if name.endswith(".js") and name != "main.js"
)
_INDEX = _FILES.pop(INDEX).decode().replace("{assets}", _ASSETS).replace("{preload}", _PRELOAD)

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> HTMLResponse:
    return HTMLResponse(
        _INDEX, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    )


@router.get("/page/{digest}/{name}")
async def asset(digest: str, name: str) -> Response:
    if digest != _DIGEST or name not in _FILES:
        raise HTTPException(404)
    return Response(
        _FILES[name],
        media_type=guess_type(name)[0],
        headers={"Cache-Control": "max-age=31536000, immutable"},
    )
