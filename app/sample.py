"""The sample gallery: rendered products, so that a first request recognises something.

Their vectors come with them, for the pack that made them; for another one they are embedded, which
takes seconds. After a change of the embedded pack, this writes them again:

    python -m app.sample
"""

import csv
import json
import logging
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from app.enrolment.enroller import Enroller
from app.filters import SAMPLE
from app.settings import Settings
from gallery import GalleryProtocol, Product, UnknownProduct, VersionConflict
from models.detector import Detector
from models.embedder import Embedder
from models.pack import PACKS, Pack

SAMPLES = Path(__file__).parent / "samples"
VECTORS = SAMPLES / "vectors.npz"
_MADE_BY = "made by"
logger = logging.getLogger(__name__)

# Float16 [1 or 2, dimension] of each picture, as the gallery keeps them, by product and file.
Vectors = dict[str, NDArray[np.float16]]


def enrol_sample_gallery(
    gallery: GalleryProtocol, enroller: Enroller, pack: Pack, marker: Path, stopping: Event
) -> None:
    """Enrol the sample products, once in the life of a data folder.

    `marker` remembers how far it came: an enrolment that was interrupted is taken up again, one
    that was finished is not repeated when the operator has removed the products.
    """
    state = marker.read_text(encoding="utf-8", errors="replace") if marker.exists() else ""
    if state == "enrolled" or (not state and gallery.stats().products > 0):
        return
    marker.write_text("enrolling", encoding="utf-8")
    known = read_vectors(pack)
    products = _products()
    for row in products:
        if stopping.is_set():
            return
        metadata = json.loads(row["metadata"]) | {SAMPLE: True}
        gallery.put_product(row["id"], row["name"], metadata)
        pictures = [path for path in references() if path.parent.name == row["id"]]
        photographs = [enroller.read(path.read_bytes()) for path in pictures]
        images = (
            [p.entry(known[name_of(path)]) for p, path in zip(photographs, pictures, strict=True)]
            if known
            else enroller.enrolled(photographs)
        )
        gallery.add_images(row["id"], images)
    marker.write_text("enrolled", encoding="utf-8")
    logger.info("Enrolled the sample gallery: %d products.", len(products))


def sample_products(gallery: GalleryProtocol) -> list[Product]:
    """Those that are in the gallery: of the samples' ids, and marked as samples.

    What a shop marks alike, or calls alike, is its own.
    """
    found = []
    for row in _products():
        with suppress(UnknownProduct):
            found.append(gallery.get_product(row["id"]))
    return [product for product in found if product.metadata.get(SAMPLE) is True]


def remove_sample_products(gallery: GalleryProtocol) -> None:
    """With their images; what becomes a shop's own meanwhile stays."""
    for product in sample_products(gallery):
        with suppress(UnknownProduct, VersionConflict):
            gallery.delete_product(product.id, expected_version=product.version)


def references() -> list[Path]:
    """The pictures of the sample products, each in the folder of its product."""
    return sorted((SAMPLES / "references").glob("*/*.jpg"))


def name_of(picture: Path) -> str:
    return f"{picture.parent.name}/{picture.name}"


def read_vectors(pack: Pack) -> Vectors:
    """The vectors that come with the pictures; none if they were not made by this pack."""
    with np.load(VECTORS) as stored:
        if str(stored[_MADE_BY]) != _maker(pack):
            return {}
        return {name: stored[name] for name in stored.files if name != _MADE_BY}


def write_vectors(pack: Pack, file: Path) -> None:
    settings = Settings()
    how = settings.threads, settings.engine
    with closing(Detector(pack, *how)) as detector, closing(Embedder(pack, *how)) as embedder:
        enroller = Enroller(detector, embedder, settings.image_limits)
        vectors = {
            name_of(path): enroller.prepare(path.read_bytes()).vectors.astype(np.float16)
            for path in references()
        }
    np.savez(file, **{_MADE_BY: np.array(_maker(pack))}, **vectors)  # type: ignore[arg-type]


def _products() -> list[dict[str, str]]:
    with (SAMPLES / "products.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _maker(pack: Pack) -> str:
    return f"{pack.detector.fingerprint} {pack.embedder.fingerprint}"


if __name__ == "__main__":
    write_vectors(Pack.load(PACKS / "embedded"), VECTORS)
