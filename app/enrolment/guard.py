"""What is doubtful about a reference, told before it is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from app.images import PlainImage, RGBImage
from gallery import Candidate, Searches
from gallery.scenes import scenes_of
from models.pack import EmbedderSpec

Doubt = Literal["look-alike", "no-body", "blurred", "too-small"]

# Variance of the Laplacian over that of the grey levels, at this many pixels of the longest side
# (Pertuz et al., Pattern Recognition 46, 2013). 1 % of 300 open photographs are below, and of the
# same 99 % when a Gaussian of 1 % of their side has blurred them.
_SHARP, _SIDE = 0.02, 256
# Grey levels: so that noise on an even ground is no sharpness.
_NOISE = 5.0
# Standard deviation of a colour's levels; less is a covered lens, a white wall, a frame of noise.
_CONTRAST = 3.0


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A doubt about a reference, what to do about it, and the product that it looks like."""

    code: Doubt
    detail: str
    product_id: str | None = None


class DoubtfulReference(Exception):
    """A reference is refused because of doubts that the operator wants refused."""

    def __init__(self, doubts: Sequence[Doubtful]) -> None:
        super().__init__(" ".join(doubt.detail for doubt in doubts))
        self.doubts = doubts


class Guard:
    """Looks at references before they are added. Thread-safe."""

    def __init__(self, gallery: Searches, pack: EmbedderSpec, refused: Sequence[Doubt]) -> None:
        self._gallery = gallery
        self._threshold = pack.threshold
        # Smaller ones the network sees at twice their size and more.
        self._least_side = min(pack.input_size) // 2
        self._refused = refused

    def check(
        self, pixels: RGBImage, vectors: NDArray[np.float32], product_id: str
    ) -> list[Doubtful]:
        """The doubts about a reference of a product.

        Args:
            pixels: uint8 [H, W, 3], upright.
            vectors: [V, D] of unit length, of the whole image and of its best body if it has one.
            product_id: that it would become one of.

        Raises:
            DoubtfulReference: one of them is to be refused.
        """
        doubts = []
        height, width = pixels.shape[:2]
        if min(height, width) < self._least_side:
            doubts.append(
                Doubtful(
                    "too-small",
                    f"The photograph is {width} × {height} pixels; references of less than "
                    f"{self._least_side} a side show too little. Go nearer.",
                )
            )
        if sharpness(pixels) < _SHARP:
            doubts.append(
                Doubtful("blurred", "The photograph is blurred. Hold still, and let it focus.")
            )
        if len(vectors) < 2:
            doubts.append(
                Doubtful(
                    "no-body",
                    "No clear body is seen. Have the product fill most of the picture, on an even "
                    "ground.",
                )
            )
        if (alike := self._alike(vectors, product_id)) is not None:
            doubts.append(alike)
        if refused := [doubt for doubt in doubts if doubt.code in self._refused]:
            raise DoubtfulReference(refused)
        return doubts

    def _alike(self, vectors: NDArray[np.float32], product_id: str) -> Doubtful | None:
        """Whether it would be named as another product today."""
        found = self._gallery.search(vectors, 2, scenes=scenes_of(len(vectors)))
        best = max((one for row in found.candidates for one in row), key=_score, default=None)
        threshold = self._threshold.among(found.size.products, found.size.images)
        if best is None or best.product_id == product_id or best.score < threshold:
            return None
        return Doubtful(
            "look-alike",
            f"It looks like {best.name}, {best.product_id!r} ({best.score:.2f}), rather than its "
            "own product. Check the label; photograph the side that tells them apart.",
            best.product_id,
        )


def _score(candidate: Candidate) -> float:
    return candidate.score


def check_contrast(pixels: RGBImage) -> None:
    """Refuse a reference, uint8 [H, W, 3], that every other picture without contrast would match.

    Raises:
        PlainImage: it shows one even colour.
    """
    # By each colour: red on grey may be equally light.
    if max(float(np.std(_small(plane))) for plane in cv2.split(pixels)) < _CONTRAST:
        raise PlainImage(
            "The photograph shows one even colour, and no product could be known by it. Look for a "
            "covered lens, and photograph the product in light."
        )


def sharpness(pixels: RGBImage) -> float:
    """Share of fine edges in a picture, uint8 [H, W, 3]; 0 for an even one."""
    grey = _small(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    return float(np.var(edges)) / (float(np.var(grey)) + _NOISE**2)


def _small(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels [H, W], at most 256 pixels a side."""
    scale = _SIDE / max(grey.shape)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)
