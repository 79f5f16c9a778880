"""What the service needs of a gallery, so that another backend can take this one's place.

tests/gallery/contract.py holds a backend to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gallery.filters import Filter
from gallery.records import (
    JSON,
    AddedImage,
    AuditedChange,
    Change,
    GalleryStats,
    Image,
    NewImage,
    Product,
    Reference,
    SearchResult,
)


class Contents(Protocol):
    """All that a gallery holds, for an export, a calibration, an audit, a migration."""

    revision: int
    fingerprint: str
    dimension: int
    product_count: int
    image_count: int

    def products(self) -> Iterator[Product]:
        """All of them, by id."""

    def vectors(self, product_id: str) -> dict[str, NDArray[np.float16]]:
        """Image id → vectors [V, D] of a product's images. Raises UnknownProduct."""

    def references(self) -> Iterator[Reference]:
        """All of them, in the order in which they were added."""


class Searches(Protocol):
    """A search alone."""

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Filter | None = None,
        scenes: NDArray[np.bool_] | None = None,
    ) -> SearchResult:
        """For each query of [Q, D] its k best products, best first, of those that `where` keeps.

        `scenes` [Q] tells which are not compared with references' scenes (gallery.scenes). A
        product scores as its best reference, as that leans (gallery.leaning). Fewer than k only
        when there are fewer products with images. Equal scores: the image that was added first
        wins. Raises InvalidVector or InvalidValue.
        """


class HoldsContents(Protocol):
    """What it holds, alone."""

    def contents(self) -> AbstractContextManager[Contents]:
        """The gallery of this moment, to be read at leisure while others read and write."""


class SearchesContents(Searches, HoldsContents, Protocol):
    """A search, and what is searched."""


class GalleryProtocol(SearchesContents, Protocol):
    """Thread-safe. A change that has returned is durable and seen by whatever starts after it.

    Errors are those of gallery.errors; a call that raises one has changed nothing.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def put_product(
        self,
        product_id: str,
        name: str,
        metadata: Mapping[str, JSON],
        *,
        expected_version: int | None = None,
    ) -> tuple[Product, bool]:
        """Create the product, or replace its name and metadata and keep its images.

        What is the same already is no change: no revision, no version, nothing in the history.

        `expected_version`: only if the product is at this version; 0 is one that doesn't exist,
        ANY_VERSION one that does. True when created. Raises InvalidValue, UnknownProduct or
        VersionConflict.
        """

    def get_product(self, product_id: str) -> Product:
        """Raises UnknownProduct."""

    def list_products(
        self,
        cursor: str | None,
        limit: int,
        *,
        text: str | None = None,
        where: Filter | None = None,
    ) -> tuple[list[Product], str | None]:
        """At most `limit` products by id, and the cursor of the next page or None.

        With `text` in id or name, whatever its case; with metadata that `where` keeps. Pages
        neither repeat nor skip a product that is there throughout, whatever is written.
        """

    def delete_product(self, product_id: str, *, expected_version: int | None = None) -> None:
        """With its images, if it is at the `expected_version` given.

        Raises UnknownProduct or VersionConflict.
        """

    def add_images(self, product_id: str, images: Sequence[NewImage]) -> list[AddedImage]:
        """Add all the images or, when it raises, none; answers in their order.

        Content that the product already has is not added again: its id comes back as a duplicate.
        Raises UnknownProduct, InvalidVector or InvalidValue.
        """

    def get_image(self, image_id: str) -> Image:
        """Raises UnknownImage."""

    def get_thumbnail(self, image_id: str) -> bytes:
        """The JPEG given with the image. Raises UnknownImage."""

    def list_images(self, product_id: str) -> list[Image]:
        """In the order in which they were added. Raises UnknownProduct."""

    def delete_image(self, image_id: str) -> None:
        """Raises UnknownImage."""

    @property
    def relaxed(self) -> Searches:
        """The search of a request that need not see what was written in the last moments."""

    def take(self, products: Sequence[Product], references: Sequence[Reference]) -> None:
        """What another gallery holds, in one change: ids, order and vectors stay as they are there.

        Products are put, references added; what is here already stays. Raises UnknownProduct when
        a reference's product is neither here nor among `products`, InvalidVector or InvalidValue.
        """

    def changes(self, after: int, limit: int) -> list[Change]:
        """What the `limit` revisions after the revision `after` changed, in their order.

        Raises HistoryForgotten when that is too long ago or was before a backup came back,
        InvalidValue.
        """

    def history(
        self,
        cursor: str | None,
        limit: int,
        *,
        product_id: str | None = None,
        author: str | None = None,
    ) -> tuple[list[AuditedChange], str | None]:
        """At most `limit` changes, newest first, and the cursor of older ones or None.

        Only those of a product or author, where one is given: the author that gallery.authorship
        knew when they were made. Raises InvalidValue.
        """

    def stats(self) -> GalleryStats:
        """Counts, revision and the state of the index."""

    def consistent(self) -> bool:
        """Whether searches answer from all that is stored and nothing else."""

    def snapshot(self) -> None:
        """Flush: have what the next start needs on the disk."""

    def rebuild(self) -> None:
        """Make the index again from what is stored, while serving."""

    def close(self) -> None:
        """A second call does nothing; others raise GalleryClosed from then on."""
