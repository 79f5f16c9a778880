"""Recall@1 of photographs against a gallery, through the gallery that serves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.galleries import made_gallery, reference
from gallery import Gallery, NewImage
from gallery.scenes import scenes_of
from models.embedder import Embedder

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One photograph's vectors [V, D], the product it shows, and what tells it from others."""

    identity: str
    source: str
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query got.

    `score` and `margin` are of the best product and over the runner-up; `impostor` is the best
    score of any product that is not the query's: what it would get were its own not enrolled.
    """

    right: bool
    score: float
    margin: float
    impostor: float


def ask(
    embedder: Embedder,
    references: Sequence[Entry],
    queries: Sequence[Entry],
    *,
    undivided: bool = False,
) -> list[Answer]:
    """The best product for each query, from photographs of another source than its own.

    A reference of the query's source is taken out of the gallery while it asks. `undivided`: whole
    images that show bodies, too, are compared with each other.

    Raises:
        ValueError: the references show fewer than two products.
    """
    by_product: dict[str, list[Entry]] = {}
    for entry in references:
        by_product.setdefault(entry.identity, []).append(entry)
    if len(by_product) < 2:
        raise ValueError("a gallery of one product confuses nothing")
    images: dict[str, str] = {}
    with made_gallery(embedder.dimension) as gallery:
        for identity, entries in by_product.items():
            gallery.put_product(identity, identity, {})
            added = gallery.add_images(identity, [_reference(entry) for entry in entries])
            images |= {e.source: image.id for e, image in zip(entries, added, strict=True)}
        enrolled = {entry.source: entry for entry in references}
        answers = []
        for query in queries:
            if query.source in images:
                gallery.delete_image(images[query.source])
            answers.append(_best(gallery, query, len(by_product), undivided))
            if query.source in images:
                own = enrolled[query.source]
                (again,) = gallery.add_images(own.identity, [_reference(own)])
                images[query.source] = again.id
        return answers


def recall(answers: Sequence[Answer]) -> float:
    """Share of queries whose best product is the right one."""
    return sum(answer.right for answer in answers) / len(answers)


def _reference(entry: Entry) -> NewImage:
    return reference(entry.source.encode(), entry.vectors)


def _best(gallery: Gallery, query: Entry, products: int, undivided: bool) -> Answer:
    scores: dict[str, float] = {}
    scenes = None if undivided else scenes_of(len(query.vectors))
    for candidates in gallery.search(query.vectors, products, scenes=scenes).candidates:
        for candidate in candidates:
            known = scores.get(candidate.product_id, -1.0)
            scores[candidate.product_id] = max(known, candidate.score)
    best, second = sorted(scores, key=lambda identity: scores[identity], reverse=True)[:2]
    return Answer(
        right=best == query.identity,
        score=scores[best],
        margin=scores[best] - scores[second],
        impostor=scores[second if best == query.identity else best],
    )
