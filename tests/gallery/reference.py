"""A gallery as a plain dict, to hold the real one to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gallery.vectors import query_vectors
from tests.gallery.samples import stored


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
        ranked = []
        for product, images in self.images.items():
            if among is not None and product not in among:
                continue
            for content, vectors in images.items():
                if scene and len(vectors) > 1:
                    vectors = vectors[1:]
                score = float((vectors * query).sum(axis=1).max())
                ranked.append((-score, self.order[product, content], product, content))
        best: dict[str, tuple[str, str, object, float]] = {}
        for score, _, product, content in sorted(ranked, key=lambda row: row[:2]):
            entry = (product, self.names[product], content, min(-score, 1.0))
            best.setdefault(product, entry)
        return list(best.values())[:k]
