"""A gallery as a plain dict, to hold the real one to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gallery.vectors import query_vectors
from tests.gallery.samples import stored

# Products with the nearest vectors that are compared by vectors that lean to their mean.
COMPARED = 8


@dataclass
class Reference:
    """Products by id: name and images; images by content: vectors float64 [V, D], in order."""

    names: dict[str, str] = field(default_factory=dict)
    images: dict[str, dict[object, NDArray[np.float64]]] = field(default_factory=dict)
    order: dict[tuple[str, object], int] = field(default_factory=dict)
    added: int = 0

    def put(self, product: str, name: str) -> bool:
        created = product not in self.names
        self.names[product] = name
        self.images.setdefault(product, {})
        return created

    def add(self, product: str, content: object, vectors: NDArray[np.float32]) -> bool:
        """False when it was there already."""
        if content in self.images[product]:
            return False
        self.images[product][content] = stored(vectors)
        self.added += 1
        self.order[product, content] = self.added
        return True

    def delete(self, product: str, content: object) -> None:
        del self.images[product][content]

    def delete_product(self, product: str) -> None:
        del self.names[product], self.images[product]

    def search(
        self,
        vector: NDArray[np.float32],
        k: int,
        among: set[str] | None = None,
        *,
        scene: bool = False,
    ) -> list[tuple[str, str, object, float]]:
        """The k best as (product, name, content, score), exactly as the gallery defines them.

        `among`: only these products. `scene`: it is not compared with the first of several vectors.
        """
        query = query_vectors(vector[None], len(vector))[0].astype(np.float64)
        near = []
        for product, images in self.images.items():
            if among is not None and product not in among:
                continue
            rows = [
                (vector, content, kind)
                for content, vectors in images.items()
                for vector, kind in zip(vectors, _kinds(len(vectors)), strict=True)
                if not (scene and kind == "scene")
            ]
            if rows:
                raw = [
                    (-float((vector * query).sum()), self.order[product, content], content)
                    for vector, content, _ in rows
                ]
                near.append((min(raw, key=lambda each: each[:2]), product, rows))
        found = []
        for (_, order, content), product, rows in sorted(near, key=lambda n: n[0][:2])[
            : max(k, COMPARED)
        ]:
            score = max(_scores(query, rows))
            found.append((-score, order, (product, self.names[product], content, min(score, 1.0))))
        return [entry for *_, entry in sorted(found, key=lambda each: each[:2])][:k]


def _kinds(count: int) -> list[str]:
    return ["body"] if count == 1 else ["scene", *["body"] * (count - 1)]


def _scores(
    query: NDArray[np.float64], rows: list[tuple[NDArray[np.float64], object, str]]
) -> list[float]:
    """Of each row by the direction three tenths of the way to the mean of its kind."""
    scored = []
    for vector, _, kind in rows:
        middle = np.sum([other for other, _, of in rows if of == kind], axis=0)
        towards = 0.7 * vector + 0.3 * middle / max(float(np.linalg.norm(middle)), 1e-12)
        length = max(float(np.linalg.norm(towards)), 1e-12)
        scored.append(round(float(towards @ query) / length, 6))
    return scored
