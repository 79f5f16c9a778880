"""`/gallery`: products and their reference images."""

from collections.abc import Generator
from dataclasses import replace
from hashlib import sha256
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.checks import MAX_ID_LENGTH, MAX_NAME_LENGTH
from app.enrolment.effect import predict
from app.enrolment.guard import Doubtful, DoubtfulReference
from app.http.admission import ENTER, Turn, TurnDep
from app.http.calibration import FilterDep
from app.http.changes import CHANGE
from app.http.idempotency import OnceDep
from app.http.preconditions import ETAG, ExpectedVersion, set_etag
from app.http.problems import RequestProblem, describe, responses
from app.http.schemas import (
    AddedImageItem,
    AddImagesAnswer,
    ChangesAnswer,
    GalleryAnswer,
    GalleryModel,
    HistoryAnswer,
    ImageAnswer,
    IndexState,
    NewProductId,
    ProductAnswer,
    ProductBody,
    ProductDetail,
    ProductId,
    ProductPage,
    SamplesAnswer,
    WarningItem,
)
from app.http.state import ServiceDep
from app.http.streaming import Streamed
from app.http.uploads import SeveralImages, Upload, request_body
from app.images import ImageError
from app.sample import remove_sample_products, sample_products
from app.service import Service
from app.transfer.exporting import export
from gallery import NewImage

router = APIRouter(prefix="/gallery", tags=["gallery"], responses=responses(400, 422))

ProductPath = Annotated[ProductId, Path()]
ImagePath = Annotated[str, Path(min_length=1, max_length=64, description="The id of an image.")]


@router.get("", summary="Counts, revision, index and model")
def get_gallery(service: ServiceDep) -> GalleryAnswer:
    """What the gallery holds, and how."""
    stats = service.gallery.stats()
    return GalleryAnswer(
        products=stats.products,
        images=stats.images,
        revision=stats.revision,
        index=IndexState(kind=stats.index_kind, state=stats.index_state, vectors=stats.vectors),
        model=GalleryModel(
            name=service.model, fingerprint=stats.fingerprint, dimension=stats.dimension
        ),
    )


@router.get("/changes", summary="What has changed", responses=responses(410))
def list_changes(
    service: ServiceDep,
    after: Annotated[int, Query(ge=0, lt=2**62, description="A revision seen before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most revisions.")] = 100,
) -> ChangesAnswer:
    """The changes after a revision, oldest first: for clients that keep a copy of the gallery."""
    return ChangesAnswer(changes=service.gallery.changes(after, limit))


@router.get("/history", summary="Who changed what")
def list_history(
    service: ServiceDep,
    product_id: Annotated[
        str | None, Query(max_length=MAX_ID_LENGTH, description="Of this product only.")
    ] = None,
    author: Annotated[
        str | None, Query(max_length=512, description="By this key only: name and id, as answered.")
    ] = None,
    cursor: Annotated[
        str | None, Query(max_length=20, description="`next_cursor` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> HistoryAnswer:
    """The audit trail, newest first: the key and the request of each change, before and after.

    Of the newest 100,000 changes; each image added or deleted is one.
    """
    entries, next_cursor = service.gallery.history(
        cursor or None, limit, product_id=product_id, author=author
    )
    return HistoryAnswer(entries=entries, next_cursor=next_cursor)


@router.get(
    "/export",
    summary="Export as a zip",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
def export_gallery(service: ServiceDep) -> Streamed:
    """The gallery of this moment, as `POST /gallery/import` takes it: the same answers elsewhere.

    Pictures in a folder per product, products.csv, and the embedder's vectors, which are taken over
    as they are where the embedder is the same and made again from the pictures where it is another.
    """

    def pieces() -> Generator[bytes]:
        with service.gallery.contents() as contents:
            yield from export(contents)

    return Streamed(
        pieces(),
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="gallery.zip"'},
    )


@router.get("/products", summary="List products")
def list_products(
    service: ServiceDep,
    where: FilterDep,
    q: Annotated[
        str | None,
        Query(
            max_length=MAX_NAME_LENGTH,
            description="Only products with this in id or name, whatever its case.",
            examples=["oat milk"],
        ),
    ] = None,
    cursor: Annotated[
        str | None, Query(max_length=512, description="`next_cursor` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ProductPage:
    """The products, by id, a page at a time."""
    products, next_cursor = service.gallery.list_products(
        cursor or None, limit, text=q, where=where
    )
    return ProductPage(products=products, next_cursor=next_cursor)


@router.get("/samples", summary="The sample products that are left")
def list_samples(service: ServiceDep) -> SamplesAnswer:
    """Those that came with the service: what a shop marks with `"sample": true` is its own."""
    return SamplesAnswer(products=sample_products(service.gallery))


@router.delete(
    "/samples",
    summary="Remove the sample products",
    status_code=204,
    response_class=Response,
    dependencies=[CHANGE],
)
def delete_samples(service: ServiceDep) -> None:
    """With all their images; they don't come back."""
    if reason := service.not_ready():  # they may be on their way in
        raise RequestProblem(503, "not-ready", reason)
    remove_sample_products(service.gallery)


@router.put(
    "/products/{product_id}",
    summary="Create or replace a product",
    responses={
        200: {"headers": ETAG},
        201: {"model": ProductAnswer, "description": "Created", "headers": ETAG},
        **responses(404, 412, 413),
    },
    dependencies=[CHANGE],
)
def put_product(
    product_id: Annotated[NewProductId, Path()],
    body: ProductBody,
    service: ServiceDep,
    expected: ExpectedVersion,
    response: Response,
) -> ProductAnswer:
    """An existing product keeps its images; name and metadata become those sent.

    What is the same already is no change: its version stays, and the history says nothing.
    """
    product, created = service.gallery.put_product(
        product_id, body.name, body.metadata, expected_version=expected
    )
    set_etag(response, product)
    if created:
        response.status_code = 201
    return ProductAnswer.model_validate(product)


@router.get(
    "/products/{product_id}",
    summary="A product and its images",
    responses={200: {"headers": ETAG}, **responses(404)},
)
def get_product(product_id: ProductPath, service: ServiceDep, response: Response) -> ProductDetail:
    """What is stored of a product."""
    product = service.gallery.get_product(product_id)
    pictures = service.gallery.list_images(product_id)
    # It may have changed between the two; the version is the older one, so that is noticed.
    product = replace(product, image_count=len(pictures))
    set_etag(response, product)
    return ProductDetail(
        **ProductAnswer.model_validate(product).model_dump(),
        images=pictures,
    )


@router.delete(
    "/products/{product_id}",
    summary="Remove a product",
    status_code=204,
    response_class=Response,
    responses=responses(404, 412),
    dependencies=[CHANGE],
)
def delete_product(product_id: ProductPath, service: ServiceDep, expected: ExpectedVersion) -> None:
    """Remove a product and all its images; it is never found again from here on."""
    service.gallery.delete_product(product_id, expected_version=expected)


@router.post(
    "/products/{product_id}/images",
    summary="Add reference images to a product",
    status_code=201,
    openapi_extra=request_body(several=True),
    response_model=AddImagesAnswer,
    responses={
        200: {"model": AddImagesAnswer, "description": "With `dry_run`: nothing was added."},
        **responses(404, 409, 413, 415),
    },
    dependencies=[ENTER],
)
def add_images(
    product_id: ProductPath,
    uploads: SeveralImages,
    turn: TurnDep,
    service: ServiceDep,
    once: OnceDep,
    dry_run: Annotated[
        bool, Query(description="Add nothing: tell doubts, and what adding them would change.")
    ] = False,
) -> Response:
    """They are searchable when the answer arrives. The same image twice is one reference.

    Each file succeeds or fails on its own. With a single file, or when none could be taken, the
    answer is the problem itself.
    """
    return once(
        " ".join(sha256(upload.data).hexdigest() for upload in uploads),
        lambda: (
            200 if dry_run else 201,
            _enrol(product_id, uploads, service, turn, dry_run=dry_run),
        ),
    )


def _enrol(
    product_id: str, uploads: list[Upload], service: Service, turn: Turn, *, dry_run: bool
) -> AddImagesAnswer:
    service.gallery.get_product(product_id)  # before any work is done for it
    good: list[NewImage] = []
    entries: list[AddedImageItem] = []
    taken: list[AddedImageItem] = []
    refused: list[Exception] = []
    for upload in uploads:
        turn.proceed()
        entries.append(entry := AddedImageItem(filename=upload.filename))
        try:
            image, doubts = _prepared(product_id, upload, service)
        except (ImageError, DoubtfulReference) as error:
            entry.error = describe(error)
            refused.append(error)
            continue
        entry.warnings = [WarningItem.model_validate(doubt) for doubt in doubts]
        good.append(image)
        taken.append(entry)
    if not good:
        raise refused[0]
    effect = None
    if dry_run:
        vectors = [np.asarray(image.vectors, np.float32) for image in good]
        effect = predict(service.gallery, product_id, vectors, turn.proceed)
    else:
        added = service.gallery.add_images(product_id, good)
        for entry, image_added in zip(taken, added, strict=True):
            entry.id, entry.duplicate = image_added.id, image_added.duplicate
    revision = service.gallery.stats().revision
    return AddImagesAnswer(images=entries, gallery_revision=revision, effect=effect)


def _prepared(product_id: str, upload: Upload, service: Service) -> tuple[NewImage, list[Doubtful]]:
    photograph = service.enroller.read_reference(upload.data)
    (image,) = service.enroller.enrolled([photograph])
    vectors = np.asarray(image.vectors, np.float32)
    return image, service.guard.check(photograph.pixels, vectors, product_id)


@router.get("/images/{image_id}", summary="A reference image", responses=responses(404))
def get_image(image_id: ImagePath, service: ServiceDep) -> ImageAnswer:
    """Whose it is, its size, and the hash of the file that was sent."""
    return ImageAnswer.model_validate(service.gallery.get_image(image_id))


@router.get(
    "/images/{image_id}/thumbnail",
    summary="A reference image as a JPEG",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **responses(404)},
)
def get_thumbnail(image_id: ImagePath, service: ServiceDep) -> Response:
    """At most 512 pixels a side."""
    return Response(service.gallery.get_thumbnail(image_id), media_type="image/jpeg")


@router.delete(
    "/images/{image_id}",
    summary="Remove a reference image",
    status_code=204,
    response_class=Response,
    responses=responses(404),
    dependencies=[CHANGE],
)
def delete_image(image_id: ImagePath, service: ServiceDep) -> None:
    """It is never found again from here on."""
    service.gallery.delete_image(image_id)
