"""The gallery: products, reference images and search. SQLite is the truth, Faiss is derived."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gallery import edits, history, image_store, product_store, snapshot, store
from gallery.backup import Progress, back_up
from gallery.columns import Columns
from gallery.contents import SQLiteContents
from gallery.database import DATABASE_NAME, Database
from gallery.errors import GalleryDamaged
from gallery.filters import Filter
from gallery.index import Index
from gallery.listing import page_of
from gallery.lock import lock_gallery
from gallery.protocol import GalleryProtocol
from gallery.ranking import Hit, best_products
from gallery.records import (
    JSON,
    AddedImage,
    AuditedChange,
    Candidate,
    Change,
    GalleryStats,
    Image,
    NewImage,
    Product,
    Reference,
    SearchedSize,
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

INDEX_FOLDER = "index"

_COMPACT_AT = 8192
_GRAPH_FROM = 300_000


class Gallery(GalleryProtocol):
    """Any number of readers, one writer at a time; searches never wait for a write.

    Of all processes one at a time has a folder open.
    """

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        dimension: int,
        fingerprint: str,
        compact_at: int = _COMPACT_AT,
        graph_from: int = _GRAPH_FROM,
    ) -> Self:
        """Open or create the gallery in `folder` for vectors [D = dimension] of one embedder.

        `compact_at`: so many rows added or deleted since the index was built have it built again.
        `graph_from`: search is exact for fewer vectors than this, approximate and quicker for more.
        Raises GalleryInUse, FingerprintMismatch, GalleryDamaged, UnsupportedSchema or
        StorageFailed.
        """
        with ExitStack() as opened:
            opened.enter_context(lock_gallery(folder))
            _check_not_lost(folder)
            database = Database(folder / DATABASE_NAME, migrate=False)
            opened.enter_context(closing(database))
            with database.read() as db:
                store.check_embedder(db, fingerprint, dimension)
            database.migrate()
            with database.write() as db:
                store.adopt(db, fingerprint, dimension)
            index = Index(
                folder / INDEX_FOLDER, database, compact_at=compact_at, graph_from=graph_from
            )
            opened.callback(index.close)
            return cls(opened.pop_all(), database, index, dimension, fingerprint)

    def __init__(
        self,
        opened: ExitStack,
        database: Database,
        index: Index,
        dimension: int,
        fingerprint: str,
    ) -> None:
        """Not called directly: use `Gallery.open`. `opened` is what `close` closes."""
        self._opened = opened
        self._database = database
        self._index = index
        self._columns = Columns(database)
        self._dimension = dimension
        self._fingerprint = fingerprint

    def close(self) -> None:
        """Finish what is running and save the index."""
        self._opened.close()

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
        return self._index.change(
            lambda db, view: edits.put_product(db, view, product_id, name, text, expected_version)
        )

    def get_product(self, product_id: str) -> Product:
        checked_text(product_id, "product id")
        with self._database.read() as db:
            return product_store.get_product(db, product_id)

    def list_products(
        self,
        cursor: str | None,
        limit: int,
        *,
        text: str | None = None,
        where: Filter | None = None,
    ) -> tuple[list[Product], str | None]:
        with self._database.read() as db:
            after = partial(product_store.products_after, db)
            return page_of(after, cursor, limit, text, where)

    def delete_product(self, product_id: str, *, expected_version: int | None = None) -> None:
        checked_text(product_id, "product id")
        self._index.change(
            lambda db, view: edits.delete_product(db, view, product_id, expected_version)
        )

    # Reference images

    def add_images(self, product_id: str, images: Sequence[NewImage]) -> list[AddedImage]:
        checked_text(product_id, "product id")
        for image in images:
            check_image(image)
        vectors = stored_in_parts([image.vectors for image in images], self._dimension)
        checked = list(zip(images, vectors, strict=True))
        return self._index.change(lambda db, view: edits.add_images(db, view, product_id, checked))

    def take(self, products: Sequence[Product], references: Sequence[Reference]) -> None:
        rows = [
            (checked_text(p.id, "product id"), checked_text(p.name, "product name"), p.metadata)
            for p in products
        ]
        put = [(product_id, name, checked_metadata(data)) for product_id, name, data in rows]
        images = [reference.new() for reference in references]
        for image in images:
            check_image(image)
        vectors = stored_in_parts([image.vectors for image in images], self._dimension)
        owners = [reference.image.product_id for reference in references]
        added = list(zip(owners, zip(images, vectors, strict=True), strict=True))
        self._index.change(lambda db, view: edits.take(db, view, put, added))

    def get_image(self, image_id: str) -> Image:
        checked_text(image_id, "image id")
        with self._database.read() as db:
            return image_store.get_image(db, image_id)

    def get_thumbnail(self, image_id: str) -> bytes:
        checked_text(image_id, "image id")
        with self._database.read() as db:
            return image_store.get_thumbnail(db, image_id)

    def list_images(self, product_id: str) -> list[Image]:
        checked_text(product_id, "product id")
        with self._database.read() as db:
            return image_store.list_images(db, product_id)

    def delete_image(self, image_id: str) -> None:
        checked_text(image_id, "image id")
        self._index.change(lambda db, view: edits.delete_image(db, view, image_id))

    # Search

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Filter | None = None,
        scenes: NDArray[np.bool_] | None = None,
    ) -> SearchResult:
        queries = query_vectors(vectors, self._dimension)
        checked_count(k, "number of products")
        while True:
            view = self._index.view
            # After the view is taken: so every product that it knows has its columns.
            shown = view if where is None else view.only(self._columns.selected(where))
            hits = best_products(shown, queries, k, scenes)
            winners = sorted({hit.image for row in hits for hit in row})
            with self._database.read() as db:
                labels = image_store.labels(db, winners)
                sequence = store.state(db).sequence
                counts = store.counts(db)
            if len(labels) == len(winners):
                candidates = [[_candidate(hit, labels[hit.image]) for hit in row] for row in hits]
                size = SearchedSize(counts.pictured, counts.images) if where is None else shown.size
                return SearchResult(candidates, view.sequence, size)
            if sequence == view.sequence:
                raise GalleryDamaged(
                    "The index holds images that the database doesn't have. Rebuild the index."
                )
            # A winner was deleted meanwhile: search again without it.

    @property
    def relaxed(self) -> Self:
        """This one: a search here always sees everything."""
        return self

    # State

    def changes(self, after: int, limit: int) -> list[Change]:
        if after != 0:
            checked_count(after, "revision")
        checked_count(limit, "limit")
        with self._database.read() as db:
            return history.after(db, after, limit)

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
        with self._database.read() as db:
            found, older = history.newest(
                db, limit, below=below, product_id=product_id, author=author
            )
        return found, None if older is None else str(older)

    def stats(self) -> GalleryStats:
        with self._database.read() as db:
            counts = store.counts(db)
        view = self._index.view
        return GalleryStats(
            products=counts.products,
            images=counts.images,
            vectors=counts.vectors,
            revision=view.sequence,
            index_kind=view.base.kind,
            index_state=self._index.state,
            dimension=self._dimension,
            fingerprint=self._fingerprint,
        )

    def consistent(self) -> bool:
        """Whether the index is that of the database's last change and has as many vectors.

        Raises GalleryDamaged once any read or write has met damage, StorageFailed while the
        database isn't where it was opened.
        """
        self._database.check_sound()
        if self._agrees():
            return True
        # They differ between a change's commit and its view. Only then is a change waited for: it
        # may wait for the disk.
        with self._index.writing:
            return self._agrees()

    def _agrees(self) -> bool:
        with self._database.read() as db:
            view = self._index.view
            return (view.sequence, view.rows) == (
                store.state(db).sequence,
                store.counts(db).vectors,
            )

    @contextmanager
    def contents(self) -> Iterator[SQLiteContents]:
        with self._database.read() as db:
            yield SQLiteContents(db)

    def backup(self, path: Path, progress: Progress | None = None) -> None:
        """Write the gallery of this moment to the file `path`, while it serves.

        `progress` is told the pages done and all. `restore` brings it back. Raises StorageFailed.
        """
        back_up(self._database, path, progress)

    def snapshot(self) -> None:
        """Save the index now, so that the next start is quick. Raises StorageFailed."""
        self._index.save()

    def compact(self) -> None:
        """Fold what is pending into the index now, and save it. Raises StorageFailed."""
        self._index.compact()

    def rebuild(self) -> None:
        """Build the index again from the database, while serving, and save it."""
        self._index.rebuild()


def _check_not_lost(folder: Path) -> None:
    """Raises GalleryDamaged where a gallery was whose database is gone: an empty one would serve.

    And a backup of that would replace the good one.
    """
    database = folder / DATABASE_NAME
    there = database.is_file() and database.stat().st_size > 0
    if not there and snapshot.any_in(folder / INDEX_FOLDER):
        raise GalleryDamaged(
            f"{database} is gone or empty, but the index of a gallery lies beside it. Restore a "
            f"backup; or move {folder} away to begin with an empty gallery."
        )


def _candidate(hit: Hit, label: image_store.Label) -> Candidate:
    # float16 leaves vectors up to 0.1 % longer than 1; a cosine is at most 1.
    score, likeness = min(hit.score, 1.0), min(hit.likeness, 1.0)
    metadata = json.loads(label.metadata)
    return Candidate(label.product_id, label.name, score, label.image_id, metadata, likeness)
