"""All that a gallery on Milvus holds, for an export, a calibration, an audit, a migration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gallery.errors import GalleryDamaged
from gallery.milvus import product_rows, reference_rows
from gallery.milvus.connection import Connection, Row
from gallery.milvus.log import Log
from gallery.milvus.schema import ANY_REVISION, REFERENCES, added_at
from gallery.objects import Objects
from gallery.protocol import Contents
from gallery.records import Product, Reference

_PRODUCTS_AT_ONCE = 1000
_ROWS_AT_ONCE = 2000
_PICTURES_AT_ONCE = 64


class MilvusContents(Contents):
    """Reads the gallery of `revision`, less what is deleted while it reads.

    Milvus keeps no state for whoever reads slowly: that a second reading finds the same revision
    is how a reader knows that nothing came between.
    """

    def __init__(
        self, connection: Connection, log: Log, pictures: Objects, fingerprint: str, dimension: int
    ) -> None:
        self._connection = connection
        self._pictures = pictures
        head = log.refresh("Strong")
        self.revision = head.revision
        self.product_count = head.products
        self.image_count = head.images
        self.fingerprint = fingerprint
        self.dimension = dimension

    def products(self) -> Iterator[Product]:
        last = ""
        while page := product_rows.after(self._connection, last, _PRODUCTS_AT_ONCE, "Strong"):
            for row in page:
                yield row.product()
            last = page[-1].id

    def vectors(self, product_id: str) -> dict[str, NDArray[np.float16]]:
        product_rows.get(self._connection, product_id)
        rows = reference_rows.having(
            self._connection, "product_id", [product_id], fields=reference_rows.ALL
        )
        return {image[0]["image_id"]: _stacked(image) for image in self._images(rows)}

    def references(self) -> Iterator[Reference]:
        last, full = 0, True
        while full:
            rows = reference_rows.after(self._connection, last, _ROWS_AT_ONCE)
            full = len(rows) == _ROWS_AT_ONCE
            if full:
                # Its last image may go on behind it.
                rows = [row for row in rows if row["image"] != rows[-1]["image"]]
            images = self._images(rows)
            while batch := list(islice(images, _PICTURES_AT_ONCE)):
                yield from self._with_pictures(batch)
            last = rows[-1]["image"] if rows else last

    def _images(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        # Rows that are being replaced have the same vectors as those that replace them.
        there = (row for row in rows if added_at(row["image"]) <= self.revision)
        return reference_rows.by_image(reference_rows.visible(there, ANY_REVISION))

    def _with_pictures(self, images: list[list[Row]]) -> Iterator[Reference]:
        try:
            pictures = self._pictures_of(images)
        except GalleryDamaged:
            # Or deleted since their rows were read: rows go before pictures.
            images = self._still_there(images)
            pictures = self._pictures_of(images)
        for rows, picture in zip(images, pictures, strict=True):
            yield Reference(reference_rows.image_of(rows[0]), picture, _stacked(rows))

    def _pictures_of(self, images: list[list[Row]]) -> list[bytes]:
        return self._pictures.get_all([rows[0]["thumbnail"] for rows in images])

    def _still_there(self, images: list[list[Row]]) -> list[list[Row]]:
        self._connection.catch_up([REFERENCES])
        ids = [rows[0]["image_id"] for rows in images]
        held = reference_rows.having(self._connection, "image_id", ids, "part == 0")
        there = {row["image_id"] for row in held}
        return [rows for rows in images if rows[0]["image_id"] in there]


def _stacked(rows: list[Row]) -> NDArray[np.float16]:
    return np.asarray([row["vector"] for row in rows], dtype=np.float32).astype(np.float16)
