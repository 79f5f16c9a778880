"""How products compare: by their vectors as these lean (gallery.leaning)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from gallery.leaning import Kept, leaned_references
from gallery.milvus.connection import Connection, Level, one_of
from gallery.milvus.reference_rows import by_image, visible
from gallery.milvus.schema import REFERENCES
from gallery.scenes import scenes_of

_FIELDS = ("product_id", "image", "part", "revision", "vector")

Vectors = NDArray[np.float32]


class Compared:
    """The vectors of products, read once for each revision that they are asked for at.

    Thread-safe.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._all, self._without_scenes = Kept(), Kept()

    def read(self, products: Iterable[str], revision: int, level: Level) -> None:
        """Have those of these products at hand that are not yet."""
        missing = [
            name
            for name in products
            if self._all.get((name, revision)) is None
            or self._without_scenes.get((name, revision)) is None
        ]
        if not missing:
            return
        where = one_of("product_id", missing)
        rows = visible(self._connection.query(REFERENCES, where, _FIELDS, level=level), revision)
        rows.sort(key=lambda row: row["product_id"])  # images stay in their order
        for name, own in groupby(rows, key=lambda row: str(row["product_id"])):
            images = [
                np.asarray([row["vector"] for row in image], dtype=np.float32)
                for image in by_image(own)
            ]
            vectors = np.concatenate(leaned_references(images))
            scenes = np.concatenate([scenes_of(len(image)) for image in images])
            self._all.keep((name, revision), vectors)
            self._without_scenes.keep((name, revision), vectors[~scenes])

    def score(self, query: Vectors, product: str, revision: int, *, scene: bool) -> float | None:
        """The inner product of the query [D] with the product's best vector.

        `scene`: gallery.scenes. None: the product's are not at hand, it has gone meanwhile.
        """
        kept = self._without_scenes if scene else self._all
        vectors = kept.get((product, revision))
        return None if vectors is None else float((vectors @ query).max())
