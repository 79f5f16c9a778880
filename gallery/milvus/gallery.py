"""The gallery protocol on Milvus. The package says in which order things are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gallery.enrolling import Checked
from gallery.errors import (
    FingerprintMismatch,
    GalleryClosed,
    InvalidValue,
    StorageFailed,
    UnknownImage,
)
from gallery.filters import Filter
from gallery.listing import page_of
from gallery.milvus import edits, product_rows, reference_rows
from gallery.milvus.compared import Compared
from gallery.milvus.connection import Connection, Level, Row
from gallery.milvus.contents import MilvusContents
from gallery.milvus.draft import Draft
from gallery.milvus.log import Log
from gallery.milvus.product_rows import check_sizes
from gallery.milvus.reference_rows import visible
from gallery.milvus.schema import (
    KINDS,
    MOST_IMAGES,
    MOST_PARTS,
    REFERENCES,
    schema_of,
)
from gallery.milvus.search import nearest
from gallery.milvus.sizes import Sizes
from gallery.milvus.writer import Writer
from gallery.objects import Objects
from gallery.protocol import GalleryProtocol
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
from gallery.validation import (
    check_image,
    checked_count,
    checked_cursor,
    checked_metadata,
    checked_text,
)
from gallery.vectors import query_vectors, stored_in_parts

T = TypeVar("T")


class MilvusGallery(GalleryProtocol):
    """Any number of processes may have the gallery open; one at a time writes.

    Every call raises GalleryUnavailable while the server is away, and works again when it is back.
    """

    @classmethod
    def open(cls, url: str, *, pictures: Objects, dimension: int, fingerprint: str) -> Self:
        """Open or create the gallery at `url` for vectors [D = dimension] of one embedder.

        Raises FingerprintMismatch, GalleryUnavailable, InvalidValue or StorageFailed.
        """
        pictures.check()
        connection = Connection(url)
        try:
            _adopt(connection, dimension, fingerprint)
            return cls(connection, pictures, dimension, fingerprint)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def existing(cls, url: str, *, pictures: Objects) -> Self:
        """Open the gallery at `url` whatever embedder it is for. Raises StorageFailed."""
        connection = Connection(url)
        try:
            text = connection.description(REFERENCES)
            if text is None:
                raise StorageFailed(f"There is no gallery {connection.name} on that server.")
            return cls(connection, pictures, **json.loads(text))
        except BaseException:
            connection.close()
            raise

    def __init__(
        self, connection: Connection, pictures: Objects, dimension: int, fingerprint: str
    ) -> None:
        """Not called directly: use `MilvusGallery.open`."""
        self._open_connection: Connection | None = connection
        self._log = Log(connection)
        self._sizes = Sizes(connection, self._log)
        self._compared = Compared(connection)
        self._writer = Writer(connection, self._log, pictures)
        self._pictures = pictures
        self._dimension = dimension
        self._fingerprint = fingerprint
        # What was written before this process began is not its session's, and is seen all the same.
        connection.catch_up(KINDS)
        self._log.refresh("Strong")

    def close(self) -> None:
        connection, self._open_connection = self._open_connection, None
        if connection is not None:
            connection.close()

    def _check_open(self) -> Connection:
        if self._open_connection is None:
            raise GalleryClosed
        return self._open_connection

    @property
    def _connection(self) -> Connection:
        return self._check_open()

    # Products

    def put_product(
        self,
        product_id: str,
        name: str,
        metadata: Mapping[str, JSON],
        *,
        expected_version: int | None = None,
    ) -> tuple[Product, bool]:
        checked_text(product_id, "product id")
        checked_text(name, "product name")
        text = checked_metadata(metadata)
        check_sizes(product_id, name, text, len(metadata))
        return self._change(
            lambda draft: edits.put_product(draft, product_id, name, text, expected_version)
        )

    def get_product(self, product_id: str) -> Product:
        checked_text(product_id, "product id")
        return product_rows.get(self._connection, product_id).product()

    def list_products(
        self,
        cursor: str | None,
        limit: int,
        *,
        text: str | None = None,
        where: Filter | None = None,
    ) -> tuple[list[Product], str | None]:
        def after(last: str, most: int) -> list[Product]:
            return [row.product() for row in product_rows.after(self._connection, last, most)]

        return page_of(after, cursor, limit, text, where)

    def delete_product(self, product_id: str, *, expected_version: int | None = None) -> None:
        checked_text(product_id, "product id")
        self._change(lambda draft: edits.delete_product(draft, product_id, expected_version))

    # Reference images

    def add_images(self, product_id: str, images: Sequence[NewImage]) -> list[AddedImage]:
        checked_text(product_id, "product id")
        checked = _checked(images, self._dimension)
        return self._change(
            lambda draft: edits.add_images(draft, product_id, checked, self._pictures.put_all)
        )

    def take(self, products: Sequence[Product], references: Sequence[Reference]) -> None:
        for product in products:
            text = checked_metadata(product.metadata)
            check_sizes(product.id, product.name, text, len(product.metadata))
        owners = [reference.image.product_id for reference in references]
        checked = _checked([reference.new() for reference in references], self._dimension)
        pairs = list(zip(owners, checked, strict=True))
        self._change(lambda draft: edits.take(draft, products, pairs, self._pictures.put_all))

    def get_image(self, image_id: str) -> Image:
        return reference_rows.image_of(self._rows_of_image(image_id)[0])

    def get_thumbnail(self, image_id: str) -> bytes:
        return self._pictures.get(self._rows_of_image(image_id)[0]["thumbnail"])

    def list_images(self, product_id: str) -> list[Image]:
        self.get_product(product_id)
        rows = reference_rows.having(self._connection, "product_id", [product_id], "part == 0")
        return [reference_rows.image_of(row) for row in self._visible(rows)]

    def delete_image(self, image_id: str) -> None:
        checked_text(image_id, "image id")
        self._change(lambda draft: edits.delete_image(draft, image_id))

    # Search

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Filter | None = None,
        scenes: NDArray[np.bool_] | None = None,
    ) -> SearchResult:
        """It sees all that this process wrote."""
        return self._search(vectors, k, where, scenes, "Session")

    @property
    def relaxed(self) -> RelaxedSearch:
        """The search for customers' photographs: what was enrolled just now may be missing yet."""
        return RelaxedSearch(self)

    def _search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Filter | None,
        scenes: NDArray[np.bool_] | None,
        level: Level,
    ) -> SearchResult:
        queries = query_vectors(vectors, self._dimension)
        checked_count(k, "number of products")
        if not len(queries):
            return SearchResult([], self._log.head.revision, self._sizes.of(where, level))
        found = nearest(
            self._connection, self._log, self._compared, queries, k, where, scenes, level
        )
        return SearchResult(found, self._log.head.revision, self._sizes.of(where, level))

    # State

    def changes(self, after: int, limit: int) -> list[Change]:
        if after != 0:
            checked_count(after, "revision")
        checked_count(limit, "limit")
        self._check_open()
        self._log.refresh()
        return self._log.after(after, limit)

    def history(
        self,
        cursor: str | None,
        limit: int,
        *,
        product_id: str | None = None,
        author: str | None = None,
    ) -> tuple[list[AuditedChange], str | None]:
        below = None if cursor is None else checked_cursor(cursor)
        checked_count(limit, "limit")
        self._check_open()
        found, older = self._log.newest(below, limit, product_id, author)
        return found, None if older is None else str(older)

    def stats(self) -> GalleryStats:
        """Milvus keeps the state of its index to itself."""
        self._check_open()
        head = self._log.refresh()
        return GalleryStats(
            products=head.products,
            images=head.images,
            vectors=head.vectors,
            revision=head.revision,
            index_kind="milvus",
            index_state="ready",
            dimension=self._dimension,
            fingerprint=self._fingerprint,
        )

    def consistent(self) -> bool:
        """Whether the server answers; a change of this process that was cut off is mended first."""
        self._check_open()
        self._log.refresh()
        self._writer.mend()
        return True

    @contextmanager
    def contents(self) -> Iterator[MilvusContents]:
        """All that the gallery holds, page by page."""
        yield MilvusContents(
            self._connection, self._log, self._pictures, self._fingerprint, self._dimension
        )

    def snapshot(self) -> None:
        """Have the server seal and index what it holds in memory."""
        self._connection.flush(REFERENCES)

    def rebuild(self) -> None:
        """Have the server index what is pending and drop what is deleted: the index is its own."""
        self.snapshot()
        self._connection.compact(REFERENCES)

    def _rows_of_image(self, image_id: str) -> list[Row]:
        """Its rows, without vectors. Raises UnknownImage."""
        checked_text(image_id, "image id")
        rows = reference_rows.having(self._connection, "image_id", [image_id])
        found = self._visible(rows)
        if not found:
            raise UnknownImage(image_id)
        return found

    def _visible(self, rows: Sequence[Row]) -> list[Row]:
        revision = self._log.head.revision
        if any(row["revision"] > revision for row in rows):
            revision = self._log.refresh().revision
        return visible(rows, revision)

    def _change(self, edit: Callable[[Draft], T]) -> T:
        self._check_open()
        return self._writer.change(edit)


class RelaxedSearch:
    """Searches at Bounded consistency: all but what was written in the last moments."""

    def __init__(self, gallery: MilvusGallery) -> None:
        self._gallery = gallery

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Filter | None = None,
        scenes: NDArray[np.bool_] | None = None,
    ) -> SearchResult:
        return self._gallery._search(vectors, k, where, scenes, "Bounded")


def _checked(images: Sequence[NewImage], dimension: int) -> list[Checked]:
    """With their vectors [V, D] as they are stored. Raises InvalidVector or InvalidValue."""
    for image in images:
        check_image(image)
    if len(images) > MOST_IMAGES:
        raise InvalidValue(f"At most {MOST_IMAGES:,} images can be added at once.")
    vectors = stored_in_parts([image.vectors for image in images], dimension)
    if any(len(rows) > MOST_PARTS for rows in vectors):
        raise InvalidValue(f"An image can have at most {MOST_PARTS} vectors.")
    return list(zip(images, vectors, strict=True))


def _adopt(connection: Connection, dimension: int, fingerprint: str) -> None:
    """Make what is missing, and the gallery this embedder's. Raises FingerprintMismatch."""
    ours = {"fingerprint": fingerprint, "dimension": dimension}
    text = connection.description(REFERENCES)
    if text is not None and json.loads(text) != ours:
        stored = json.loads(text)
        if connection.count(REFERENCES, level="Strong"):
            raise FingerprintMismatch(
                f"The gallery holds vectors of the embedder {stored['fingerprint']} "
                f"({stored['dimension']}-d), the one loaded now is {fingerprint} ({dimension}-d), "
                "and their vectors can't be compared. Start with the pack the gallery was made "
                "with, or give this one a gallery of another name."
            )
        connection.drop(REFERENCES)
    connection.provide({kind: schema_of(kind, dimension, json.dumps(ours)) for kind in KINDS})
