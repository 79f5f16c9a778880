"""How products compare: by their vectors as these lean (gallery.leaning)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gallery.leaning import Kept, leaned_references
from gallery.milvus.connection import Connection, Level, Row, one_of
from gallery.milvus.reference_rows import by_image, visible
from gallery.milvus.schema import REFERENCES
from gallery.scenes import Flags, Vectors, scenes_of

_FIELDS = ("product_id", "image", "part", "revision", "vector")


@dataclass(frozen=True, slots=True, eq=False)
class Leaning:
    """A product's vectors [N, D] as they are compared; `scenes` [N]: gallery.scenes."""

    vectors: Vectors
    scenes: Flags

    def __len__(self) -> int:
        return len(self.vectors)

    def score(self, query: Vectors, *, scene: bool) -> float:
        """The inner product of the query [D] with the best vector, for a `scene` with a body's."""
        scores = self.vectors @ query
        return float((scores[~self.scenes] if scene else scores).max())


class Compared:
    """Reads the vectors of products once for each revision that they are asked for at.

    Thread-safe.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: Kept[Leaning] = Kept()

    def of(self, products: Iterable[str], revision: int, level: Level) -> dict[str, Leaning]:
        """Those of these products that there are, all of them, however few can be kept."""
        kept = {name: self._kept.get((name, revision)) for name in products}
        held = {name: leaning for name, leaning in kept.items() if leaning is not None}
        if missing := kept.keys() - held.keys():
            where = one_of("product_id", missing)
            rows = self._connection.query(REFERENCES, where, _FIELDS, level=level)
            for name, leaning in _leaning(visible(rows, revision)).items():
                held[name] = self._kept.keep((name, revision), leaning)
        return held


def _leaning(rows: list[Row]) -> dict[str, Leaning]:
    """By product."""
    rows = sorted(rows, key=lambda row: row["product_id"])  # images stay in their order
    found = {}
    for name, own in groupby(rows, key=lambda row: str(row["product_id"])):
        images = [
            np.asarray([row["vector"] for row in image], dtype=np.float32)
            for image in by_image(own)
        ]
        scenes = np.concatenate([scenes_of(len(image)) for image in images])
        found[name] = Leaning(np.concatenate(leaned_references(images)), scenes)
    return found
