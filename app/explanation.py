"""Why a result is what it is: how the references of its best two products match that body."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.recognizer import EmbedsCrops, Recognition
from app.references import reference_scores, references_of
from gallery import HoldsContents, UnknownProduct
from models.detector import crop
from models.preprocess import Pyramid


@dataclass(frozen=True, slots=True)
class Match:
    """A reference image and its score for a body in the photograph."""

    product_id: str
    image_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Matches:
    """The references of a result's best product and of the next one, best first."""

    best: list[Match]
    runner_up: list[Match]


def explain(
    photograph: Pyramid,
    results: Sequence[Recognition],
    embedder: EmbedsCrops,
    gallery: HoldsContents,
    most: int,
) -> list[Matches]:
    """For each result at most `most` references of either product.

    Of a product that was deleted meanwhile there are none.
    """
    if not results:
        return []
    vectors, _ = embedder.embed([crop(photograph, result.box) for result in results])
    explained = []
    for result, vector in zip(results, vectors, strict=True):
        found = [
            _matches(gallery, candidate.product_id, vector, result.scene, most)
            for candidate in result.candidates[:2]
        ]
        best, runner_up = [*found, [], []][:2]
        explained.append(Matches(best, runner_up))
    return explained


def _matches(
    gallery: HoldsContents, product_id: str, vector: NDArray[np.float32], scene: bool, most: int
) -> list[Match]:
    try:
        references = references_of(gallery, product_id)
    except UnknownProduct:
        return []
    scores = reference_scores(references, vector[None], np.array([scene]))
    found = [Match(product_id, image, float(score[0])) for image, score in scores.items()]
    return sorted(found, key=lambda match: -match.score)[:most]
