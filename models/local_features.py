"""Local features: places of a print that are found again in other photographs of it.

SIFT (Lowe, IJCV 2004), compared by the Hellinger distance (RootSIFT: Arandjelović and Zisserman,
CVPR 2012). Places count that are each other's nearest, clearly nearer than the next, and that one
affine map carries over: spatial verification (Philbin et al., CVPR 2007). A label's words and lines
do; fruit, and photographs of different labels, hardly any. What each number is worth:
docs/embedded-pack-experiments.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

DESCRIPTOR = 128
_RATIO = 0.8  # of the distances to the nearest and to the next: Lowe's
_TOLERANCE = 8.0  # pixels, of what the map carries over
_ITERATIONS = 300
_LEAST = 4  # matches; three make a map of their own


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Places [N, 2] float32, x and y in pixels, and what is seen there [N, DESCRIPTOR] uint8."""

    places: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    @cached_property
    def rooted(self) -> NDArray[np.float32]:
        """Unit vectors [N, DESCRIPTOR] whose cosine tells the Hellinger distance."""
        wide = self.descriptors.astype(np.float32)
        rooted: NDArray[np.float32] = np.sqrt(wide / np.maximum(wide.sum(1, keepdims=True), 1))
        return rooted


NONE = LocalFeatures(np.empty((0, 2), np.float32), np.empty((0, DESCRIPTOR), np.uint8))


def extract(grey: NDArray[np.uint8], *, side: int, most: int) -> LocalFeatures:
    """The `most` strongest features of an image uint8 [H, W] whose longest side is made `side`.

    Fewer where there are fewer, as on an even colour.
    """
    height, width = grey.shape
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(grey, size, interpolation=how)
    # One for each call: nothing says that threads may share it.
    found, descriptors = cv2.SIFT.create(nfeatures=most).detectAndCompute(resized, None)
    if not found:
        return NONE
    # As strong ones as the last are given too.
    places = np.array([point.pt for point in found[:most]], np.float32)
    return LocalFeatures(places, descriptors[:most].astype(np.uint8))


def inliers(asked: LocalFeatures, reference: LocalFeatures) -> int:
    """How many features of one image are found again in the other, where one map puts them."""
    if min(len(asked.places), len(reference.places)) < _LEAST:
        return 0
    alike = asked.rooted @ reference.rooted.T
    rows = np.arange(len(alike))
    nearest = alike.argmax(axis=1)
    mutual = alike.argmax(axis=0)[nearest] == rows
    best = alike[rows, nearest]
    alike[rows, nearest] = -1
    # Squared distances of unit vectors are 2 - 2 cosines.
    matched = mutual & (1 - best < _RATIO**2 * (1 - alike.max(axis=1)))
    if np.count_nonzero(matched) < _LEAST:
        return 0
    _, kept = cv2.estimateAffine2D(
        asked.places[matched],
        reference.places[nearest[matched]],
        method=cv2.RANSAC,
        ransacReprojThreshold=_TOLERANCE,
        maxIters=_ITERATIONS,
    )
    return 0 if kept is None else int(np.count_nonzero(kept))
