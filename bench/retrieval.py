"""Recall@1 of photographs against a gallery, through the gallery that serves."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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

    Every photograph is enrolled as a product of its own, so that a query can leave itself out;
    the products they show are compared afterwards. A photograph scores as its best pair of views
    and a product as its best photograph, as the service does it; `undivided`: whole images that
    show bodies, too, are compared with each other.

    Raises:
        ValueError: the references show fewer than two products.
    """
    identities = {reference.source: reference.identity for reference in references}
    if len(set(identities.values())) < 2:
        raise ValueError("a gallery of one product confuses nothing")
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(
            Path(folder), dimension=embedder.dimension, fingerprint=embedder.fingerprint
        ) as gallery,
    ):
        for reference in references:
            gallery.put_product(reference.source, reference.identity, {})
            gallery.add_images(reference.source, [_image(reference)])
        return [_best(gallery, query, identities, undivided) for query in queries]


def recall(answers: Sequence[Answer]) -> float:
    """Share of queries whose best product is the right one."""
    return sum(answer.right for answer in answers) / len(answers)


def _image(entry: Entry) -> NewImage:
    digest = hashlib.sha256(entry.source.encode()).hexdigest()
    # The gallery keeps a thumbnail for people; nobody looks at this one.
    return NewImage(digest, 1, 1, b"\xff\xd8\xff\xd9", entry.vectors)


def _best(gallery: Gallery, query: Entry, identities: dict[str, str], undivided: bool) -> Answer:
    scores: dict[str, float] = {}
    scenes = None if undivided else scenes_of(len(query.vectors))
    for candidates in gallery.search(query.vectors, len(identities), scenes=scenes).candidates:
        for candidate in candidates:
            if candidate.product_id != query.source:
                identity = identities[candidate.product_id]
                scores[identity] = max(scores.get(identity, -1.0), candidate.score)
    best, second = sorted(scores, key=lambda identity: scores[identity], reverse=True)[:2]
    return Answer(
        right=best == query.identity,
        score=scores[best],
        margin=scores[best] - scores[second],
        impostor=scores[second if best == query.identity else best],
    )
