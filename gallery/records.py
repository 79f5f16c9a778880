"""The values that go into the gallery and come out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
IndexState: TypeAlias = Literal["ready", "compacting", "rebuilding"]
ChangeKind: TypeAlias = Literal["put product", "delete product", "add image", "delete image"]

# As an expected version: whichever a product is at that exists.
ANY_VERSION = -1


@dataclass(frozen=True, slots=True)
class Product:
    """A product as stored; times are aware, in UTC.

    `version`: the gallery's revision at the last change of the product or of its images.
    """

    id: str
    name: str
    metadata: dict[str, JSON]
    image_count: int
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True, eq=False)
class NewImage:
    """A reference image to enrol.

    `content_sha256`: 64 hexadecimal digits over the image's bytes; the same content is one
    reference of a product. `width`, `height`: pixels of the upright image. `thumbnail`: a JPEG.
    `vectors`: float32 [V, D], V ≥ 1, of any length but zero; or float16, as a gallery gave them
    out, which are kept bit by bit. `id`: the one it had in a gallery, or another if it is taken.
    """

    content_sha256: str
    width: int
    height: int
    thumbnail: bytes
    vectors: NDArray[np.float32] | NDArray[np.float16]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class AddedImage:
    """The reference that holds the image; `duplicate` when the product already had it."""

    id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Image:
    """A reference image as stored, without its thumbnail and vectors."""

    id: str
    product_id: str
    width: int
    height: int
    content_sha256: str
    created_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference image with all that is stored of it: vectors are float16 [V, D]."""

    image: Image
    thumbnail: bytes
    vectors: NDArray[np.float16]

    def new(self) -> NewImage:
        """The reference as another gallery takes it in."""
        image = self.image
        return NewImage(
            image.content_sha256,
            image.width,
            image.height,
            self.thumbnail,
            self.vectors,
            id=image.id,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the history; a revision that added several images has one for each of them."""

    sequence: int
    kind: ChangeKind
    product_id: str
    image_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditedChange(Change):
    """Who made a change, and what it was about before and after.

    Of a product: `name` and `metadata`, and how many `images` went with it; of an image: its
    `content_sha256`. None where there was none. `author` and `request_id` are those of
    gallery.authorship.
    """

    author: str | None
    request_id: str | None
    before: dict[str, JSON] | None
    after: dict[str, JSON] | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product that a query may show, and its nearest reference.

    `score`: the cosine to the best of its references, as they lean (gallery.leaning); `likeness`:
    to the nearest one as it is. `inliers`: local features found again in its references, where
    somebody has looked for them.
    """

    product_id: str
    name: str
    score: float
    image_id: str
    metadata: dict[str, JSON] = field(default_factory=dict)
    likeness: float = -1.0
    inliers: int | None = None


@dataclass(frozen=True, slots=True)
class SearchedSize:
    """How many products there were to be found, each with an image at least, and their images."""

    products: int
    images: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """For each query its products, best first, and the revision whose references were searched.

    `size`: of what was searched, after the filter.
    """

    candidates: list[list[Candidate]]
    revision: int
    size: SearchedSize


@dataclass(frozen=True, slots=True)
class GalleryStats:
    """Counts of what is stored, and the state of the index."""

    products: int
    images: int
    vectors: int
    revision: int
    index_kind: str
    index_state: IndexState
    dimension: int
    fingerprint: str
