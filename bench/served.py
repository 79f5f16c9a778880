"""A pack's models and the classes around them that serve, without the service."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from app.enrolment.enroller import Enroller
from app.images import encode_thumbnail
from app.kept_features import KeptFeatures
from app.recognizer import Recognizer
from app.reranker import HoldsPictures, Reranker
from app.settings import Settings
from bench.galleries import made_gallery, reference
from gallery import Gallery, NewImage, Searches
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack

Image = NDArray[np.uint8]


class Served:
    """Enrols photographs and recognises in them. Close it after use."""

    def __init__(self, pack: Pack, threads: int) -> None:
        self.pack = pack
        self._detector = Detector(pack, threads)
        self._embedder = Embedder(pack, threads)
        self._enroller = Enroller(self._detector, self._embedder, Settings().image_limits)

    def close(self) -> None:
        self._detector.close()
        self._embedder.close()

    @contextmanager
    def gallery(self, references: Mapping[str, Sequence[Image]]) -> Iterator[Gallery]:
        """A gallery that holds these photographs, by product."""
        with made_gallery(self._embedder.dimension) as gallery:
            for name, images in track(references.items(), "enrolled", console=Console(stderr=True)):
                gallery.put_product(name, name, {})
                vectors = self._enroller.embed(images)
                gallery.add_images(name, list(map(_reference, images, vectors)))
            yield gallery

    def recognizer(self, searched: Searches, pictures: HoldsPictures | None = None) -> Recognizer:
        """What recognises in it; by its `pictures` also, where they are given."""
        reranker = None
        if pictures is not None:
            reranker = Reranker(pictures, KeptFeatures(Path(":memory:")))
        return Recognizer(
            self._detector,
            self._embedder,
            searched,
            threshold=self.pack.embedder.threshold,
            ambiguous_margin=0,
            reranker=reranker,
        )


def _reference(image: Image, vectors: NDArray[np.float32]) -> NewImage:
    height, width = image.shape[:2]
    return reference(image.tobytes(), vectors, width, height, encode_thumbnail(image))
