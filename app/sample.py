"""The sample gallery: rendered products, so that a first request recognises something."""

import csv
import json
import logging
from pathlib import Path
from threading import Event

from app.enrolment import Enroller
from gallery import Gallery

SAMPLES = Path(__file__).parent / "samples"
logger = logging.getLogger(__name__)


def enrol_sample_gallery(
    gallery: Gallery, enroller: Enroller, marker: Path, stopping: Event
) -> None:
    """Enrol the sample products, once in the life of a data folder.

    `marker` remembers how far it came: an enrolment that was interrupted is taken up again, one
    that was finished is not repeated when the operator has removed the products.
    """
    state = marker.read_text(encoding="utf-8") if marker.exists() else ""
    if state == "enrolled" or (not state and gallery.stats().products > 0):
        return
    marker.write_text("enrolling", encoding="utf-8")
    with (SAMPLES / "products.csv").open(encoding="utf-8", newline="") as file:
        products = list(csv.DictReader(file))
    for row in products:
        if stopping.is_set():
            return
        gallery.put_product(row["id"], row["name"], json.loads(row["metadata"]))
        pictures = sorted((SAMPLES / "references" / row["id"]).glob("*.jpg"))
        gallery.add_images(row["id"], [enroller.prepare(path.read_bytes()) for path in pictures])
    marker.write_text("enrolled", encoding="utf-8")
    logger.info("Enrolled the sample gallery: %d products.", len(products))
