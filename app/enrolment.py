"""From an operator's photograph to what the gallery keeps of it."""

import hashlib

from app.images import ImageLimits, decode, encode_thumbnail
from app.recognizer import EmbedsCrops
from gallery import NewImage


class Enroller:
    """Turns reference photographs into gallery entries. Safe to call from many threads."""

    def __init__(self, embedder: EmbedsCrops, limits: ImageLimits) -> None:
        self._embedder = embedder
        self._limits = limits

    def prepare(self, data: bytes) -> NewImage:
        """Decode, embed and thumbnail one reference image.

        Raises:
            ImageError: the image is refused; nothing was stored.
        """
        image = decode(data, self._limits)
        height, width = image.shape[:2]
        vectors, _ = self._embedder.embed([image])
        return NewImage(
            content_sha256=hashlib.sha256(data).hexdigest(),
            width=width,
            height=height,
            thumbnail=encode_thumbnail(image),
            vectors=vectors,
        )
