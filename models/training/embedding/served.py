"""Photographs as the service sees them: the whole image and its best body."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack
from models.training.embedding.augmentation import on_white
from models.training.embedding.pictures import Image, Picture
from models.training.embedding.retrieval import Embeddings

VIEWS = 2
# As the gallery keeps them: what is learnt from a folder is what would be learnt from a gallery.
LONGEST_SIDE = 512


class ServedPack:
    """A pack's networks, as enrolment uses them. Close it after use."""

    def __init__(self, pack: Pack, threads: int) -> None:
        """Load both networks.

        Raises:
            PackError: one does not load.
        """
        self.pack = pack
        self._detector = Detector(pack, threads)
        self._embedder = Embedder(pack, threads)

    def close(self) -> None:
        self._detector.close()
        self._embedder.close()

    def views(self, picture: Picture) -> list[Image]:
        """The whole image, at most 512 px a side, and its best body; where there is none, itself.

        Raises:
            ModelError: it cannot be read.
        """
        image = _within(on_white(picture.load()))
        body = self._detector.best_body(image)
        return [image, image if body is None else body]

    def vectors(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit vectors [N, D] of images uint8 [H, W, 3]."""
        return self._embedder.embed(images)[0]

    def embeddings(self, pictures: Sequence[Picture]) -> Embeddings:
        """Of both views of each photograph, with a progress bar.

        Raises:
            ModelError: one cannot be read.
        """
        rows = [
            self.vectors(self.views(picture))
            for picture in track(pictures, f"photographs, {self.pack.name}")
        ]
        return Embeddings(
            np.stack(rows),
            [picture.product for picture in pictures],
            [str(picture.path) for picture in pictures],
        )


def _within(image: Image) -> Image:
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)
