"""The calls of the API, written down once for both clients: what is sent, and what comes back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from tillsight.answers import (
    AddedImages,
    ApprovedFeedback,
    Calibration,
    Detections,
    Embeddings,
    Explanation,
    Feedback,
    FeedbackPage,
    FeedbackWithHistory,
    GalleryState,
    HistoryPage,
    Image,
    Job,
    Jobs,
    Product,
    ProductPage,
    ProductWithImages,
    Recognition,
    Samples,
    Verification,
)

Answer = TypeVar("Answer")
# The bytes of an image file, or where it lies.
Picture = bytes | Path
# The metadata that products are to have, or the JSON text of it.
Filter = dict[str, Any] | str


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request whose answer is an `Answer`; `arguments` are those of `httpx2.Client.request`.

    `body`: a file that is sent a piece at a time, for it may be larger than the memory.
    """

    method: str
    path: str
    arguments: dict[str, Any] = field(default_factory=dict)
    body: Path | None = None


def detect(
    image: Picture, *, max_results: int | None = None, min_score: float | None = None
) -> Call[Detections]:
    """The main bodies in a photograph, best first."""
    query = _given(max_results=max_results, min_score=min_score)
    return Call("POST", "/detect", {"params": query, "files": _files([image])})


def embed(images: Sequence[Picture], *, detect: bool = False) -> Call[Embeddings]:
    """A unit vector of each image or, with `detect`, of each body in them."""
    return Call("POST", "/embed", {"params": _given(detect=detect), "files": _files(images)})


def recognize(
    image: Picture,
    *,
    detect: bool = True,
    max_results: int | None = None,
    top_k: int | None = None,
    threshold: float | None = None,
    false_accept_rate: float | None = None,
    where: Filter | None = None,
) -> Call[Recognition]:
    """The products in a photograph, best first; `where` keeps those with certain metadata.

    `max_results`: most bodies, where a tray may hold more than five.
    `false_accept_rate`, instead of a threshold: share of unknown products that may be named.
    """
    query = _question(detect, max_results, top_k, threshold, false_accept_rate, where)
    return Call("POST", "/recognize", {"params": query, "files": _files([image])})


def explain(
    image: Picture,
    *,
    detect: bool = True,
    max_results: int | None = None,
    top_k: int | None = None,
    threshold: float | None = None,
    false_accept_rate: float | None = None,
    where: Filter | None = None,
) -> Call[Explanation]:
    """What `recognize` answers, the references that matched, and what decided."""
    query = _question(detect, max_results, top_k, threshold, false_accept_rate, where)
    return Call("POST", "/explain", {"params": query, "files": _files([image])})


def explain_picture(
    image: Picture,
    *,
    detect: bool = True,
    threshold: float | None = None,
    false_accept_rate: float | None = None,
    where: Filter | None = None,
) -> Call[bytes]:
    """A JPEG of the photograph beside the references that it matched."""
    query = _question(detect, None, None, threshold, false_accept_rate, where)
    return Call("POST", "/explain/picture", {"params": query, "files": _files([image])})


def verify(
    image: Picture,
    product_id: str,
    *,
    detect: bool = True,
    threshold: float | None = None,
    false_accept_rate: float | None = None,
    where: Filter | None = None,
) -> Call[Verification]:
    """Whether a photograph shows this product, whose code was scanned.

    `where`: only products with certain metadata are its rivals.
    """
    query = _given(
        product_id=product_id,
        detect=detect,
        threshold=threshold,
        false_accept_rate=false_accept_rate,
        where=_text(where),
    )
    return Call("POST", "/verify", {"params": query, "files": _files([image])})


def calibration(
    false_accept_rate: float | None = None, *, where: Filter | None = None
) -> Call[Calibration]:
    """The threshold for a false-accept rate, and how surely it holds."""
    query = _given(false_accept_rate=false_accept_rate, where=_text(where))
    return Call("GET", "/gallery/calibration", {"params": query})


def gallery() -> Call[GalleryState]:
    """Counts, revision, index and model of the gallery."""
    return Call("GET", "/gallery")


def put_product(
    product_id: str,
    name: str,
    metadata: dict[str, Any] | None = None,
    *,
    version: int | None = None,
) -> Call[Product]:
    """Create a product, or replace its name and metadata and keep its images.

    `version`: only if it still is the one that was read; 0: only if there is none.
    """
    body = {"name": name, "metadata": metadata or {}}
    return Call("PUT", _path(product_id), {"json": body, "headers": _condition(version)})


def get_product(product_id: str) -> Call[ProductWithImages]:
    """A product and its reference images."""
    return Call("GET", _path(product_id))


def list_products(
    cursor: str | None = None,
    limit: int | None = None,
    *,
    q: str | None = None,
    where: Filter | None = None,
) -> Call[ProductPage]:
    """A page of the products, by id; `next_cursor` leads to the next.

    `q`: of those that have it in id or name; `where`: of those with certain metadata.
    """
    query = _given(cursor=cursor, limit=limit, q=q, where=_text(where))
    return Call("GET", "/gallery/products", {"params": query})


def samples() -> Call[Samples]:
    """The sample products that are left."""
    return Call("GET", "/gallery/samples")


def delete_samples() -> Call[None]:
    """Remove the sample products and their images."""
    return Call("DELETE", "/gallery/samples")


def delete_product(product_id: str, *, version: int | None = None) -> Call[None]:
    """Remove a product and its images."""
    return Call("DELETE", _path(product_id), {"headers": _condition(version)})


def add_images(
    product_id: str,
    images: Sequence[Picture],
    *,
    dry_run: bool = False,
    idempotency_key: str | None = None,
) -> Call[AddedImages]:
    """Add reference images; they are found from the moment this returns.

    `dry_run`: add nothing, tell doubts and the effect. `idempotency_key`: of your own, such as a
    UUID: sent again with it, it is done once.
    """
    sent = {"files": _files(images), "headers": _once(idempotency_key)}
    return Call("POST", f"{_path(product_id)}/images", {"params": _given(dry_run=dry_run), **sent})


def get_image(image_id: str) -> Call[Image]:
    """What is stored of a reference image."""
    return Call("GET", f"/gallery/images/{quote(image_id, safe='')}")


def delete_image(image_id: str) -> Call[None]:
    """Remove a reference image."""
    return Call("DELETE", f"/gallery/images/{quote(image_id, safe='')}")


def history(
    cursor: str | None = None,
    limit: int | None = None,
    *,
    product_id: str | None = None,
    author: str | None = None,
) -> Call[HistoryPage]:
    """A page of who changed what, newest first; `next_cursor` leads to older changes."""
    query = _given(cursor=cursor, limit=limit, product_id=product_id, author=author)
    return Call("GET", "/gallery/history", {"params": query})


def import_archive(
    archive: bytes | Path, *, dry_run: bool = False, idempotency_key: str | None = None
) -> Call[dict[str, str]]:
    """Have a zip of products and images imported, by the job whose `job_id` comes back.

    A file is read while it is sent. `idempotency_key`: of your own, such as a UUID: sent again with
    it, it is the same job.
    """
    headers = {"Content-Type": "application/zip", **_once(idempotency_key)}
    sent = {"params": _given(dry_run=dry_run), "headers": headers}
    if isinstance(archive, Path):
        return Call("POST", "/gallery/import", sent, body=archive)
    return Call("POST", "/gallery/import", {"content": archive, **sent})


def audit() -> Call[dict[str, Any]]:
    """Faults of the gallery; while it is looked through `done` and `total`: ask again."""
    return Call("GET", "/gallery/audit")


def say(request_id: str, product_id: str | None, *, result: int = 0) -> Call[Feedback]:
    """Say what a result of `recognize` really shows, None for no product; it is reviewed."""
    body = {"request_id": request_id, "result": result, "product_id": product_id}
    return Call("POST", "/feedback", {"json": body})


def list_feedback(
    *,
    state: str | None = None,
    verdict: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> Call[FeedbackPage]:
    """The review queue and what was decided, newest first; `before`: the last id of a page."""
    query = _given(state=state, verdict=verdict, before=before, limit=limit)
    return Call("GET", "/feedback", {"params": query})


def get_feedback(number: int) -> Call[FeedbackWithHistory]:
    """Feedback with its audit trail."""
    return Call("GET", f"/feedback/{number}")


def approve(
    number: int,
    *,
    kind: str | None = None,
    product_id: str | None = None,
    force: bool = False,
) -> Call[ApprovedFeedback]:
    """Make feedback a `reference` of a product or a `negative`.

    What would lower recall is refused (`lowers-recall`), unless `force` is given.
    """
    body = _given(kind=kind, product_id=product_id, force=force)
    return Call("POST", f"/feedback/{number}/approve", {"json": body})


def reject(number: int) -> Call[Feedback]:
    """Leave the gallery as it is."""
    return Call("POST", f"/feedback/{number}/reject")


def undo(number: int) -> Call[Feedback]:
    """Have feedback wait again; what it had become is taken away."""
    return Call("POST", f"/feedback/{number}/undo")


def list_jobs() -> Call[Jobs]:
    """The unfinished jobs and the last of the finished, newest first."""
    return Call("GET", "/jobs")


def get_job(job_id: str) -> Call[Job]:
    """How far a job is, and what it left out."""
    return Call("GET", f"/jobs/{quote(job_id, safe='')}")


def cancel_job(job_id: str) -> Call[Job]:
    """Have a job end before its last item; what it has taken by then stays."""
    return Call("POST", f"/jobs/{quote(job_id, safe='')}/cancel")


def _path(product_id: str) -> str:
    if product_id in (".", ".."):
        # It would be another path: no product has such an id.
        raise ValueError(f"{product_id!r} is no product id")
    return f"/gallery/products/{quote(product_id, safe='')}"


def _files(images: Sequence[Picture]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", _file(image)) for image in images]


def _file(image: Picture) -> tuple[str, bytes]:
    if isinstance(image, Path):
        return image.name, image.read_bytes()
    if isinstance(image, bytes):
        return "image", image
    # HTTP libraries would send the text of a path as if it were the picture.
    raise TypeError(f"an image is bytes or a pathlib.Path, not {type(image).__name__}")


def _question(
    detect: bool,
    max_results: int | None,
    top_k: int | None,
    threshold: float | None,
    false_accept_rate: float | None,
    where: Filter | None,
) -> dict[str, Any]:
    return _given(
        detect=detect,
        max_results=max_results,
        top_k=top_k,
        threshold=threshold,
        false_accept_rate=false_accept_rate,
        where=_text(where),
    )


def _text(where: Filter | None) -> str | None:
    return json.dumps(where) if isinstance(where, dict) else where


def _given(**query: Any) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _once(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _condition(version: int | None) -> dict[str, str]:
    if version is None:
        return {}
    return {"If-Match": f'"{version}"'} if version else {"If-None-Match": "*"}
