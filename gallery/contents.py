"""All that a gallery holds at one revision: for an export, a calibration, an audit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gallery import image_store, product_store, store
from gallery.protocol import Contents
from gallery.records import Product, Reference

_AT_ONCE = 64


class SQLiteContents(Contents):
    """Reads in one transaction: whatever is written meanwhile, this stays as it was.

    The write-ahead log can't be folded into the database for as long as it is open.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        state, counts = store.state(db), store.counts(db)
        self.revision = state.sequence
        self.fingerprint = state.fingerprint
        self.dimension = state.dimension
        self.product_count = counts.products
        self.image_count = counts.images

    def products(self) -> Iterator[Product]:
        last = ""
        while page := product_store.products_after(self._db, last, _AT_ONCE):
            yield from page
            last = page[-1].id

    def vectors(self, product_id: str) -> dict[str, NDArray[np.float16]]:
        return image_store.vectors_of_product(self._db, product_id, self.dimension)

    def references(self) -> Iterator[Reference]:
        last = 0
        while page := image_store.scan(self._db, last, _AT_ONCE):
            first, last = page[0][0], page[-1][0]
            vectors = image_store.vectors_of(self._db, first, last, self.dimension)
            for number, image, thumbnail in page:
                yield Reference(image, thumbnail, vectors[number])
