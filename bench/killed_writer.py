"""Changes a gallery at random until it is killed, saying before and after each change what it is.

Run as `python -m bench.killed_writer FOLDER SEED`. One JSON line a message: the change, then `null`
when it has been acknowledged. An import is acknowledged when its job has been accepted.
"""

import hashlib
import io
import json
import random
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.enrolment.enroller import Enroller
from app.images import ImageLimits
from app.jobs import Jobs
from app.transfer.exporting import export
from app.transfer.importing import ARCHIVE, Importer
from gallery import Gallery, NewImage, index
from models.detector import Detection
from models.worker import StageTimes

DIMENSION = 8
FINGERPRINT = "0" * 16
VECTORS = 2
PRODUCTS = [f"product {number}" for number in range(8)]
IMPORTED = "imported"
# Small, so that compactions and graphs are frequent.
COMPACT_AT = 12
GRAPH_FROM = 60
LIMITS = ImageLimits(max_bytes=2**20, max_pixels=2**20, min_side=1)
TIDY = 0.15


class NoModels:
    """What is imported here has its vectors: nothing may ask for more."""

    def detect(self, *_: object, **__: object) -> tuple[list[Detection], StageTimes]:
        raise RuntimeError("an export was embedded again")

    def embed(self, *_: object) -> tuple[NDArray[np.float32], StageTimes]:
        raise RuntimeError("an export was embedded again")


def opened(folder: Path) -> Gallery:
    return Gallery.open(
        folder / "gallery",
        dimension=DIMENSION,
        fingerprint=FINGERPRINT,
        compact_at=COMPACT_AT,
        graph_from=GRAPH_FROM,
    )


def jobs_of(gallery: Gallery, folder: Path) -> Jobs:
    models = NoModels()
    importer = Importer(gallery, Enroller(models, models, LIMITS), LIMITS, busy=lambda: False)
    return Jobs(folder / "jobs", {"import": importer.run})


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def vectors_of(content: str) -> NDArray[np.float32]:
    """Vectors [VECTORS, DIMENSION] that follow from the content alone."""
    rng = np.random.default_rng(int(digest(content)[:12], 16))
    return rng.standard_normal((VECTORS, DIMENSION)).astype(np.float32)


@cache
def thumbnail() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "navy").save(buffer, "JPEG")
    return buffer.getvalue()


def images_of(contents: list[str]) -> list[NewImage]:
    return [
        NewImage(digest(content), 30, 20, thumbnail(), vectors_of(content)) for content in contents
    ]


def write_export(gallery: Gallery, path: Path) -> None:
    """There as a whole or not at all."""
    partial = path.with_suffix(".partial")
    with gallery.contents() as contents, partial.open("wb") as file:
        file.writelines(export(contents))
    partial.replace(path)


def say(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Writer:
    """One run until the kill."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.serial = seed * 1_000_000
        self.gallery = opened(folder)
        self.jobs = jobs_of(self.gallery, folder)
        # Jobs run in turn: when the last is done, all are. Before, its products are left alone.
        unfinished = [path.name for path in (folder / "jobs").iterdir()]
        self.last_import = max(
            unfinished, key=lambda name: self.jobs.get(name).created_at, default=None
        )

    def run(self) -> None:
        while True:
            self.serial += 1
            self.change()
            if self.rng.random() < TIDY:
                self.tidy()

    def change(self) -> None:
        product = self.rng.choice(PRODUCTS)
        choice = self.rng.random()
        if product not in {entry.id for entry in self.gallery.list_products(None, 1000)[0]}:
            say(["put", product])
            self.gallery.put_product(product, product, {})
        elif choice < 0.03:
            self.import_some()
        elif choice < 0.13:
            self.delete_product(product)
        elif choice < 0.4 and (images := self.gallery.list_images(product)):
            image = self.rng.choice(images)
            say(["delete image", product, image.content_sha256])
            self.gallery.delete_image(image.id)
        else:
            contents = self.contents(self.rng.randint(1, 4))
            say(["add", product, contents])
            self.gallery.add_images(product, images_of(contents))
        say(None)

    def contents(self, count: int) -> list[str]:
        return [f"{self.serial}/{number}" for number in range(count)]

    def import_some(self) -> None:
        """More than one batch of them, so that a kill can come between two."""
        shop = {
            f"{IMPORTED} {self.serial} {letter}": [
                f"{content} {letter}" for content in self.contents(self.rng.randint(1, 60))
            ]
            for letter in "abc"
        }
        place = self.jobs.prepare()
        with tempfile.TemporaryDirectory() as elsewhere, opened(Path(elsewhere)) as other:
            for product, contents in shop.items():
                other.put_product(product, product, {})
                other.add_images(product, images_of(contents))
            write_export(other, place / ARCHIVE)
        say(["import", shop])
        self.last_import = self.jobs.start("import", place).id

    def delete_product(self, product: str) -> None:
        """This one or, when no import is under way, an imported one, so that they don't pile up."""
        if self.last_import is None or self.jobs.get(self.last_import).finished_at:
            there = [entry.id for entry in self.gallery.list_products(None, 1000)[0]]
            product = min([*(name for name in there if name.startswith(IMPORTED)), product])
        say(["delete product", product])
        self.gallery.delete_product(product)

    def tidy(self) -> None:
        """What changes no answer, and is killed as well."""
        tasks: list[Callable[[], None]] = [
            self.gallery.compact,
            self.gallery.snapshot,
            self.gallery.rebuild,
            lambda: self.gallery.backup(self.folder / "backup"),
            lambda: write_export(self.gallery, self.folder / "export.zip"),
        ]
        self.rng.choice(tasks)()


def main() -> None:
    index.QUIET_SECONDS = 0.0
    Writer(Path(sys.argv[1]), int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
