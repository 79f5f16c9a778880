"""What the service needs of a gallery, so that another backend can take this one's place.

tests/gallery/contract.py holds a backend to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

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
    SearchResult,
    StoredImage,
)


class GalleryProtocol(Protocol):
    """Thread-safe. A change that has returned is durable and seen by whatever starts after it.

    Errors are those of gallery.errors; a call that raises one has changed nothing.
    """

    def put_product(
        self,
        product_id: str,
        name: str,
        metadata: Mapping[str, JSON],
        *,
        expected_version: int | None = None,
    ) -> tuple[Product, bool]:
        """Upsert: create, or replace name and metadata and keep the images. True when created."""

    def get_product(self, product_id: str) -> Product:
        """Raises UnknownProduct."""

    def list_products(self, cursor: str | None, limit: int) -> tuple[list[Product], str | None]:
        """A page by id, and the cursor of the next or None; stable under writes."""

    def delete_product(self, product_id: str, *, expected_version: int | None = None) -> None:
        """With its images. Raises UnknownProduct or VersionConflict."""

    def add_images(self, product_id: str, images: Sequence[NewImage]) -> list[AddedImage]:
        """All or none; content that the product has already is a duplicate."""

    def get_image(self, image_id: str) -> Image:
        """Raises UnknownImage."""

    def get_thumbnail(self, image_id: str) -> bytes:
        """Raises UnknownImage."""

    def list_images(self, product_id: str) -> list[Image]:
        """In the order in which they were added. Raises UnknownProduct."""

    def scan_images(self, cursor: str | None, limit: int) -> tuple[list[StoredImage], str | None]:
        """A page of all images with their thumbnails, and the cursor of the next or None."""

    def delete_image(self, image_id: str) -> None:
        """Raises UnknownImage."""

    def search(
        self, vectors: NDArray[np.float32], k: int, where: Filter | None = None
    ) -> SearchResult:
        """For each query of [Q, D] its k best products among those that `where` keeps."""

    def changes(self, after: int, limit: int) -> list[Change]:
        """What the `limit` revisions after `after` changed. Raises HistoryForgotten."""

    def history(
        self,
        cursor: str | None,
        limit: int,
        *,
        product_id: str | None = None,
        author: str | None = None,
    ) -> tuple[list[AuditedChange], str | None]:
        """A page of the newest changes, newest first, and the cursor of older ones or None.

        Changes are those of the author that gallery.authorship knows when they are made.
        """

    def stats(self) -> GalleryStats:
        """Counts, revision and the state of the index."""

    def consistent(self) -> bool:
        """Whether searches answer from all that is stored and nothing else."""

    def snapshot(self) -> None:
        """Flush: have what the next start needs on the disk."""

    def compact(self) -> None:
        """Fold what is pending into the index, so that searches are as quick as they can be."""

    def close(self) -> None:
        """A second call does nothing; others raise GalleryClosed from then on."""
