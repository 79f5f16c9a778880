"""What an export holds beside pictures and `products.csv`, so that nothing is worked out again.

`gallery.json` says whose vectors they are; a file in `references/` has a line of JSON for each
picture: what the gallery knows of it, and its vectors.
"""

from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from gallery import NewImage, Reference

MANIFEST = "gallery.json"
REFERENCES = "references/"
VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """Which gallery it was, at which revision, and the embedder its vectors come from."""

    format: Literal["tillsight-gallery"] = "tillsight-gallery"
    version: int = VERSION
    fingerprint: str
    dimension: int
    revision: int
    products: int
    images: int


class ReferenceLine(BaseModel):
    """A reference image: `file` is its picture, with the SHA-256 `file_sha256`, in the archive.

    `content_sha256`, `width` and `height` are those of the file that was enrolled once; `vectors`
    are float16, little-endian, in base64.
    """

    file: str
    file_sha256: Sha256
    product: str
    id: str
    content_sha256: Sha256
    width: int
    height: int
    vectors: list[str]

    @classmethod
    def of(cls, reference: Reference, file: str) -> "ReferenceLine":
        image = reference.image
        return cls(
            file=file,
            file_sha256=sha256(reference.thumbnail).hexdigest(),
            product=image.product_id,
            id=image.id,
            content_sha256=image.content_sha256,
            width=image.width,
            height=image.height,
            vectors=[
                b64encode(vector.astype("<f2", copy=False).tobytes()).decode()
                for vector in reference.vectors
            ],
        )

    def describes(self, data: bytes) -> bool:
        """Whether this is the file's content, and not another picture in its place."""
        return sha256(data).hexdigest() == self.file_sha256

    def image(self, thumbnail: bytes) -> NewImage:
        """What was stored.

        Raises:
            ValueError: the vectors are not what they should be.
        """
        rows = [np.frombuffer(b64decode(text, validate=True), "<f2") for text in self.vectors]
        vectors: NDArray[np.float16] = np.array(rows, dtype=np.float16)
        return NewImage(
            self.content_sha256, self.width, self.height, thumbnail, vectors, id=self.id
        )
