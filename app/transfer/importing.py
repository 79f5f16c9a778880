"""Import a shop: the work of an import job."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from app.enrolment.enroller import Enroller, Photograph
from app.images import ImageError, ImageLimits, RGBImage, UnsupportedImage, decode
from app.jobs import Job
from app.patience import give_way
from app.transfer.archive import Archive, Item, Picture, Refused
from app.transfer.product_table import ProductRow
from gallery import (
    JSON,
    AddedImage,
    GalleryProtocol,
    InvalidValue,
    InvalidVector,
    NewImage,
    Product,
    UnknownProduct,
    VersionConflict,
)
from models.errors import ModelError

ARCHIVE = "archive.zip"

Kind: TypeAlias = Literal["row", "reference", "photograph"]
# Photographs are held decoded: four of the largest are 600 MB.
AT_ONCE: dict[Kind, int] = {"row": 64, "reference": 64, "photograph": 4}
COUNTED_AT_ONCE = 1000

Given = TypeVar("Given")
Made = TypeVar("Made")


class _Products:
    """What a job makes of products; each counts once. A dry run only counts."""

    def __init__(self, gallery: GalleryProtocol, job: Job) -> None:
        self._gallery = gallery
        self._job = job
        self._counted: set[str] = set()

    def take(self, row: ProductRow) -> None:
        """Make the product what the row says of it.

        Raises:
            ValueError: the row can't be laid upon what is there.
        """
        before = self._find(row.id)
        name, metadata = row.upon(before)
        if before and (before.name, _text(before.metadata)) == (name, _text(metadata)):
            return
        if not self._job.dry_run:
            seen = before.version if before else 0
            try:
                self._gallery.put_product(row.id, name, metadata, expected_version=seen)
            except VersionConflict:
                # Somebody has changed it meanwhile, which must not be undone.
                self.take(row)
                return
        if row.id not in self._counted:
            self._counted.add(row.id)
            self._job.created += before is None
            self._job.changed += before is not None

    def _find(self, product_id: str) -> Product | None:
        try:
            return self._gallery.get_product(product_id)
        except UnknownProduct:
            return None


class Importer:
    """Enrols what an archive holds, some images at a time; each is kept when it is counted."""

    def __init__(
        self,
        gallery: GalleryProtocol,
        enroller: Enroller,
        limits: ImageLimits,
        busy: Callable[[], bool],
    ) -> None:
        """`busy`: whether somebody waits for the models."""
        self._gallery = gallery
        self._enroller = enroller
        self._limits = limits
        self._busy = busy

    def run(self, job: Job, folder: Path, save: Callable[[], None]) -> None:
        """Take the archive in `folder`, from the item on at which `job` stands.

        With `dry_run` everything is read and checked, and nothing is stored. What the gallery has
        already is left as it is, so that an archive may be sent again.

        Raises:
            UnusableArchive: the file as a whole can't be read.
            GalleryError: the storage refuses: what is counted by then is kept.
        """
        ours = self._gallery.stats().fingerprint
        products = _Products(self._gallery, job)
        with Archive(folder / ARCHIVE) as archive:
            job.total = _count(archive.items(), save)
            fits = archive.manifest is not None and archive.manifest.fingerprint == ours
            for kind, batch in _batches(islice(archive.items(), job.done, None), fits=fits):
                pictures = [item for item in batch if isinstance(item, Picture)]
                if kind == "reference":
                    images = [self._stored(archive, item) for item in pictures]
                    self._add(job, products, pictures, images)
                elif kind == "photograph":
                    self._add(job, products, pictures, self._embedded(job, archive, pictures))
                else:
                    _take_rows(job, products, batch)
                job.done += len(batch)
                save()

    def _stored(self, archive: Archive, picture: Picture) -> NewImage | Exception:
        """The reference as it was stored where it was exported, vectors and all."""
        try:
            data = archive.read(picture.entry, self._limits.max_bytes)
            if picture.line is None or not picture.line.describes(data):
                return self._enroller.prepare(data)
            self._check_thumbnail(data)
            return picture.line.image(data)
        except (ImageError, ModelError, ValueError) as error:
            return error

    def _embedded(
        self, job: Job, archive: Archive, pictures: Sequence[Picture]
    ) -> list[NewImage | Exception]:
        give_way(self._busy)
        read = [self._photograph(job, archive, picture) for picture in pictures]
        photographs = [item for item in read if isinstance(item, Photograph)]
        made = iter(_together(self._enroller.enrolled, photographs, ModelError))
        return [next(made) if isinstance(item, Photograph) else item for item in read]

    def _photograph(self, job: Job, archive: Archive, picture: Picture) -> Photograph | Exception:
        try:
            data = archive.read(picture.entry, self._limits.max_bytes)
            line = picture.line
            if line is None or not line.describes(data):
                return self._enroller.read_reference(data)
            pixels = self._check_thumbnail(data)
        except (ImageError, ValueError) as error:
            return error
        job.embedded_again += 1
        return Photograph(
            pixels, line.content_sha256, line.width, line.height, thumbnail=data, id=line.id
        )

    def _check_thumbnail(self, data: bytes) -> RGBImage:
        # It is served as it is: a JPEG. Thumbnails of thin images are thinner than images may be.
        limits = ImageLimits(self._limits.max_bytes, self._limits.max_pixels, min_side=1)
        if not data.startswith(b"\xff\xd8"):
            raise UnsupportedImage("The picture of an export is a JPEG; this is none.")
        return decode(data, limits)

    def _add(
        self,
        job: Job,
        products: _Products,
        pictures: Sequence[Picture],
        images: Sequence[NewImage | Exception],
    ) -> None:
        good: list[tuple[Picture, NewImage]] = []
        for picture, image in zip(pictures, images, strict=True):
            if isinstance(image, NewImage):
                good.append((picture, image))
            else:
                _refuse(job, picture.entry.filename, image)
        for product, group in groupby(good, key=lambda pair: pair[0].product):
            if job.dry_run:
                products.take(ProductRow(product))
                continue
            pairs = list(group)
            answers = _together(
                partial(self._added, products, product),
                [image for _, image in pairs],
                InvalidValue,
                InvalidVector,
                UnknownProduct,  # deleted as quickly as it is made
            )
            for (picture, _), answer in zip(pairs, answers, strict=True):
                if isinstance(answer, Exception):
                    _refuse(job, picture.entry.filename, answer)
                elif answer.duplicate:
                    job.duplicates += 1
                else:
                    job.added += 1

    def _added(
        self, products: _Products, product: str, images: Sequence[NewImage]
    ) -> list[AddedImage]:
        try:
            return self._gallery.add_images(product, images)
        except UnknownProduct:
            products.take(ProductRow(product))
            return self._gallery.add_images(product, images)


def rebuild_index(gallery: GalleryProtocol) -> Callable[[Job, Path, Callable[[], None]], None]:
    """The work of a rebuild job: the index made again from the database, while serving."""

    def run(job: Job, _: Path, __: Callable[[], None]) -> None:
        job.total = 1
        gallery.rebuild()
        job.done = 1

    return run


def _count(items: Iterator[Item], save: Callable[[], None]) -> int:
    count = 0
    for count, _ in enumerate(items, start=1):
        # Millions of rows take minutes, for which a service that stops doesn't wait.
        if count % COUNTED_AT_ONCE == 0:
            save()
    return count


def _batches(items: Iterator[Item], *, fits: bool) -> Iterator[tuple[Kind, list[Item]]]:
    """Items of a kind that follow each other; `fits`: the archive's vectors are our embedder's."""

    def kind_of(item: Item) -> Kind:
        if not isinstance(item, Picture):
            return "row"
        return "reference" if fits and item.line is not None else "photograph"

    for kind, run in groupby(items, key=kind_of):
        while batch := list(islice(run, AT_ONCE[kind])):
            yield kind, batch


def _together(
    make: Callable[[Sequence[Given]], Sequence[Made]],
    given: Sequence[Given],
    *refusals: type[Exception],
) -> list[Made | Exception]:
    """What is made of each: all at once or, so that one can't spoil the others, one by one."""
    try:
        return [*make(given)]
    except refusals as error:
        if len(given) == 1:
            return [error]
        return [made for one in given for made in _together(make, [one], *refusals)]


def _take_rows(job: Job, products: _Products, rows: Sequence[Item]) -> None:
    for row in rows:
        if isinstance(row, Refused):
            _refuse(job, row.place, row.error)
        elif isinstance(row, ProductRow):
            try:
                products.take(row)
            except ValueError as error:
                _refuse(job, row.place, error)


def _refuse(job: Job, place: str, error: Exception) -> None:
    unusable = isinstance(error, ImageError | ModelError)
    job.fail_item(place, "unusable-image" if unusable else "invalid-value", str(error))


def _text(metadata: dict[str, JSON]) -> str:
    # As text, because Python takes 1 and true for equal.
    return json.dumps(metadata, sort_keys=True)
