"""Products that vectors hardly tell apart are told apart by what is printed on them.

A vector says what a package looks like as a whole; which of two labels of one layout it bears is in
the details. Where another product is near, or the best one hardly below the threshold, the body's
local features are looked for in the references' pictures (models.local_features), and a product
gains by how many are found, beside how many are found of the others: labels of one maker share a
part. What that is worth: docs/embedded-pack-experiments.md.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np

from app.kept_features import KeptFeatures
from gallery import Candidate, GalleryError
from gallery.records import Image
from models.local_features import NONE, LocalFeatures, extract, inliers
from models.preprocess import Pyramid

# Products that are looked at: the best, and those whose score is so near to its; where there are
# any, or the best is so little below the threshold.
REACH = 0.1
BELOW = 0.2
MOST_PRODUCTS = 8
# References of a product, its nearest first.
MOST_REFERENCES = 4
# With MANY inliers, and no other that has more, a score comes so much of the way nearer to 1. FEW
# are found where nothing is printed.
GAIN = 0.5
FEW, MANY = 6, 30
# Pixels of the longest side, and features.
_ASKED = {"side": 192, "most": 200}
_REFERENCE = {"side": 320, "most": 300}
# What is read for the embedder has as many.
_BODY_SIDE = 160
_KNOWN_PRODUCTS = 10_000
logger = logging.getLogger(__name__)


class HoldsPictures(Protocol):
    """What the reranker needs of a gallery."""

    def list_images(self, product_id: str) -> list[Image]: ...

    def get_thumbnail(self, image_id: str) -> bytes: ...


class Reranker:
    """Compares bodies with the pictures of their candidates. Thread-safe."""

    def __init__(self, gallery: HoldsPictures, kept: KeptFeatures) -> None:
        self._gallery = gallery
        self._kept = kept
        # By revision: a gallery on a server is not asked each time.
        self._images = lru_cache(_KNOWN_PRODUCTS)(self._listed)

    def rerank(
        self,
        body: Pyramid,
        candidates: Sequence[Candidate],
        threshold: float,
        revision: int,
        *,
        rated: bool = False,
    ) -> list[Candidate]:
        """The candidates of a body, best first, by their scores and their local features.

        As they are where that is not likely to change what is named. `revision`: the gallery's
        that was searched. `rated`: the threshold is for a rate of false accepts, which is one of
        scores by vectors, so no product is lifted above it.
        """
        near = _near(candidates, threshold, rated=rated)
        if not near:
            return list(candidates)
        pixels = body.reduced(_BODY_SIDE, _BODY_SIDE)
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        asked = extract(grey, **_ASKED)
        looked = _gained([self._compared(asked, candidate, revision) for candidate in near])
        looked.sort(key=lambda candidate: -candidate.score)
        return [*looked, *candidates[len(near) :]]

    def knows(self, image_id: str) -> bool:
        """Whether a reference's features are at hand."""
        return self._kept.has(image_id)

    def features(self, image_id: str) -> LocalFeatures:
        """Those of a reference. Raises UnknownImage or what else the gallery does."""
        known = self._kept.get(image_id)
        if known is None:
            known = _features_of(self._gallery.get_thumbnail(image_id))
            self._kept.keep(image_id, known)
        return known

    def _compared(self, asked: LocalFeatures, candidate: Candidate, revision: int) -> Candidate:
        try:
            images = self._images(candidate.product_id, revision)
            nearest = sorted(images, key=lambda image: image != candidate.image_id)
            found = max(
                (inliers(asked, self.features(image)) for image in nearest[:MOST_REFERENCES]),
                default=0,
            )
        except GalleryError as error:
            # Deleted meanwhile, or the pictures' server is away: vectors still tell.
            logger.debug("No pictures of %s: %s", candidate.product_id, error)
            return candidate
        return replace(candidate, inliers=found)

    def _listed(self, product_id: str, _: int) -> tuple[str, ...]:
        return tuple(image.id for image in self._gallery.list_images(product_id))


def _gained(looked: Sequence[Candidate]) -> list[Candidate]:
    most = max(candidate.inliers or 0 for candidate in looked)
    gained = []
    for candidate in looked:
        found = candidate.inliers or 0
        sure = min(max((found - FEW) / (MANY - FEW), 0.0), 1.0)
        # With half as many as another one it is likely that one's kin.
        ahead = max(2 * found / most - 1, 0.0) if most else 0.0
        score = candidate.score + GAIN * sure * ahead * (1 - candidate.score)
        gained.append(replace(candidate, score=score))
    return gained


def _near(candidates: Sequence[Candidate], threshold: float, *, rated: bool) -> Sequence[Candidate]:
    """Those that a closer look could make the best, or name."""
    if not candidates or candidates[0].score < threshold - (0 if rated else BELOW):
        return ()
    best = candidates[0].score
    lowest = max(best - REACH, threshold) if rated else best - REACH
    looked = [candidate for candidate in candidates[:MOST_PRODUCTS] if candidate.score >= lowest]
    return () if len(looked) == 1 and best >= threshold else looked


def _features_of(jpeg: bytes) -> LocalFeatures:
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    return NONE if grey is None else extract(np.asarray(grey, np.uint8), **_REFERENCE)
