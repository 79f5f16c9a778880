"""From an operator's photograph to what the gallery keeps of it."""

import hashlib

from app.images import ImageLimits, decode, encode_thumbnail
from app.recognizer import DetectsBodies, EmbedsCrops, crop
from gallery import NewImage


class Enroller:
    """Turns reference photographs into gallery entries. Safe to call from many threads."""

    def __init__(self, detector: DetectsBodies, embedder: EmbedsCrops, limits: ImageLimits) -> None:
        self._detector = detector
        self._embedder = embedder
        self._limits = limits

    def prepare(self, data: bytes) -> NewImage:
        """Decode, embed and thumbnail one reference image.

        It is embedded in two views, the whole image and its best body, because queries come in
        both: either alone loses 8 to 9 points of recall on one kind of photograph
        (docs/benchmarks.md).

        Raises:
            ImageError: the image is refused; nothing was stored.
        """
        image = decode(data, self._limits)
        height, width = image.shape[:2]
        bodies, _ = self._detector.detect(image, max_results=1)
        vectors, _ = self._embedder.embed([image, *(crop(image, body.box) for body in bodies)])
        return NewImage(
            content_sha256=hashlib.sha256(data).hexdigest(),
            width=width,
            height=height,
            thumbnail=encode_thumbnail(image),
            vectors=vectors,
        )
