"""From an operator's photographs to what the gallery keeps of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.enrolment.guard import check_contrast
from app.images import ImageLimits, RGBImage, decode, encode_thumbnail
from app.recognizer import DetectsBodies, EmbedsCrops
from gallery import NewImage
from models.detector import crop
from models.preprocess import Pyramid

# More at once is hardly quicker, and a customer's photograph would wait for all of them.
_CROPS_AT_ONCE = 6


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """A reference image, uint8 [H, W, 3] RGB, and what is known of it before it is embedded."""

    pixels: RGBImage
    content_sha256: str
    width: int
    height: int
    thumbnail: bytes
    id: str | None = None

    def entry(self, vectors: NDArray[np.float32] | NDArray[np.float16]) -> NewImage:
        """What the gallery keeps of it, with its vectors [V, dimension]."""
        return NewImage(
            self.content_sha256, self.width, self.height, self.thumbnail, vectors, id=self.id
        )


class Enroller:
    """Turns reference photographs into gallery entries. Safe to call from many threads."""

    def __init__(self, detector: DetectsBodies, embedder: EmbedsCrops, limits: ImageLimits) -> None:
        self._detector = detector
        self._embedder = embedder
        self._limits = limits

    def decode(self, data: bytes) -> RGBImage:
        """The pixels of one image file. Raises ImageError."""
        return decode(data, self._limits)

    def read(self, data: bytes) -> Photograph:
        """Decode and thumbnail one image file.

        Raises:
            ImageError: the image is refused.
        """
        pixels = self.decode(data)
        height, width = pixels.shape[:2]
        digest = hashlib.sha256(data).hexdigest()
        return Photograph(pixels, digest, width, height, encode_thumbnail(pixels))

    def read_reference(self, data: bytes) -> Photograph:
        """As `read`, of what is to become a reference.

        Raises:
            ImageError: the image is refused; PlainImage where it shows nothing.
        """
        photograph = self.read(data)
        check_contrast(photograph.pixels)
        return photograph

    def prepare(self, data: bytes) -> NewImage:
        """Decode, thumbnail and embed one image file that is to become a reference.

        Raises:
            ImageError: the image is refused; nothing was stored.
        """
        (image,) = self.enrolled([self.read_reference(data)])
        return image

    def enrolled(self, photographs: Sequence[Photograph]) -> list[NewImage]:
        """Embed photographs, in their order.

        Raises:
            ModelError: the network gave no direction for one of them.
        """
        vectors = self.embed([photograph.pixels for photograph in photographs])
        return [p.entry(rows) for p, rows in zip(photographs, vectors, strict=True)]

    def embed(self, images: Sequence[RGBImage]) -> list[NDArray[np.float32]]:
        """For each reference the vectors [1 or 2, dimension] of the whole image and its best body.

        Both, because queries come in both views: either alone loses 8 to 9 points of recall on one
        kind of photograph (docs/benchmarks.md).
        """
        views: list[list[Pyramid]] = []
        for image in images:
            whole = Pyramid(image)
            bodies, _ = self._detector.detect(whole, max_results=1)
            views.append([whole, *(crop(whole, body.box) for body in bodies)])
        crops = [view for several in views for view in several]
        vectors = [
            self._embedder.embed(crops[start : start + _CROPS_AT_ONCE])[0]
            for start in range(0, len(crops), _CROPS_AT_ONCE)
        ]
        ends = np.cumsum([len(several) for several in views])
        return np.split(np.concatenate(vectors), ends[:-1]) if vectors else []
