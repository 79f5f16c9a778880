"""Import a shop: the work of an import job."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from zipfile import ZipInfo

from app.archive import Archive, ProductRow, product_of
from app.enrolment import Enroller
from app.images import ImageError, ImageLimits
from app.jobs import Job
from gallery import Gallery, UnknownProduct

ARCHIVE = "archive.zip"


class Importer:
    """Enrols what an archive holds, item by item; each is kept the moment it is counted."""

    def __init__(self, gallery: Gallery, enroller: Enroller, limits: ImageLimits) -> None:
        self._gallery = gallery
        self._enroller = enroller
        self._limits = limits

    def run(self, job: Job, folder: Path, save: Callable[[], None]) -> None:
        """Take the archive in `folder`, from the item on at which `job` stands.

        With `dry_run` everything is read and checked, and nothing is stored. An image that its
        product already has is not added twice, so that an archive may be sent again.

        Raises:
            UnusableArchive: the file as a whole can't be read.
            GalleryError: the storage refuses: what is counted by then is kept.
        """
        with Archive(folder / ARCHIVE) as archive:
            items = [*archive.products(), *archive.images]
            job.total = len(items)
            for item in islice(items, job.done, None):
                self._take(job, archive, item)
                job.done += 1
                save()

    def _take(
        self, job: Job, archive: Archive, item: ProductRow | tuple[str, ValueError] | ZipInfo
    ) -> None:
        match item:
            case ProductRow(product_id, name, metadata):
                if not job.dry_run:
                    self._gallery.put_product(product_id, name, metadata)
            case (str(place), ValueError() as error):
                job.fail_item(place, "invalid-value", str(error))
            case ZipInfo():
                try:
                    self._take_image(job, archive, item)
                except ImageError as error:
                    job.fail_item(item.filename, "unusable-image", str(error))
                except ValueError as error:
                    job.fail_item(item.filename, "invalid-value", str(error))

    def _take_image(self, job: Job, archive: Archive, entry: ZipInfo) -> None:
        product_id = product_of(entry)
        image = self._enroller.prepare(archive.read(entry, self._limits.max_bytes))
        if job.dry_run:
            return
        try:
            (added,) = self._gallery.add_images(product_id, [image])
        except UnknownProduct:
            self._gallery.put_product(product_id, product_id, {})
            (added,) = self._gallery.add_images(product_id, [image])
        if added.duplicate:
            job.duplicates += 1
        else:
            job.added += 1


def rebuild_index(gallery: Gallery) -> Callable[[Job, Path, Callable[[], None]], None]:
    """The work of a rebuild job: the index made again from the database, while serving."""

    def run(job: Job, _: Path, __: Callable[[], None]) -> None:
        job.total = 1
        gallery.rebuild()
        job.done = 1

    return run
