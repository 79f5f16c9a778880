"""A gallery's vectors made again by another embedder, from the thumbnails it keeps.

The new vectors are collected in a table of their own. Until the last one is there the gallery
holds the old ones and serves with the old embedder; then one transaction puts the new ones in
their place. Stopped half-way, it goes on where it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery import image_store, store
from gallery.database import DATABASE_NAME, Database
from gallery.errors import InvalidVector, StorageFailed
from gallery.lock import lock_gallery
from gallery.schema import COUNT_DELETED_VECTORS
from gallery.vectors import stored_vectors

# JPEGs → for each its vectors, float32 [V, D].
Embed = Callable[[list[bytes]], Sequence[NDArray[np.float32]]]
# Done and all, in images.
Progress = Callable[[int, int], None]

_IMAGES_AT_ONCE = 64
_VECTORS_AT_ONCE = 2048


def reembed(
    folder: Path,
    *,
    dimension: int,
    fingerprint: str,
    embed: Embed,
    progress: Progress,
) -> int:
    """Make the gallery in `folder` that of another embedder.

    Returns how many images were embedded. What `embed` raises ends it; calling again goes on.
    Raises GalleryInUse, InvalidVector, GalleryDamaged, UnsupportedSchema or StorageFailed.
    """
    if not (folder / DATABASE_NAME).is_file():
        raise StorageFailed(f"There is no gallery in {folder}. Check the path.")
    with lock_gallery(folder), closing(Database(folder / DATABASE_NAME)) as database:
        with database.write() as db:
            state = store.state(db)
            if (state.fingerprint, state.dimension) == (fingerprint, dimension):
                return 0
            last = _begin(db, fingerprint, dimension)
            total = store.counts(db).images
            done = image_store.count_up_to(db, last)
        embedded = 0
        while True:
            with database.read() as db:
                images = image_store.scan(db, last, _IMAGES_AT_ONCE)
            if not images:
                break
            vectors = embed([thumbnail for _, _, thumbnail in images])
            if len(vectors) != len(images):
                raise InvalidVector(
                    f"The embedder answered {len(images)} images with {len(vectors)} vectors."
                )
            rows = [
                (number, bytes(vector))
                for (number, _, _), new in zip(images, vectors, strict=True)
                for vector in stored_vectors(new, dimension).astype("<f2", copy=False)
            ]
            with database.write() as db:
                db.executemany("INSERT INTO next_vectors (image, vector) VALUES (?, ?)", rows)
            last = images[-1][0]
            embedded += len(images)
            progress(done + embedded, total)
        with database.write() as db:
            _finish(db, fingerprint, dimension)
    return embedded


def _begin(db: sqlite3.Connection, fingerprint: str, dimension: int) -> int:
    """Go on with the new vectors that there are, or start; the last image that has its own."""
    db.execute("CREATE TABLE IF NOT EXISTS next_embedder (fingerprint TEXT, dimension INTEGER)")
    if db.execute("SELECT * FROM next_embedder").fetchone() != (fingerprint, dimension):
        db.execute("DELETE FROM next_embedder")
        db.execute("INSERT INTO next_embedder VALUES (?, ?)", (fingerprint, dimension))
        db.execute("DROP TABLE IF EXISTS next_vectors")
        db.execute(
            "CREATE TABLE next_vectors (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " image INTEGER NOT NULL REFERENCES images (number) ON DELETE CASCADE,"
            " vector BLOB NOT NULL) STRICT"
        )
        db.execute("CREATE INDEX next_vectors_by_image ON next_vectors (image)")
    return int(db.execute("SELECT coalesce(max(image), 0) FROM next_vectors").fetchone()[0])


def _finish(db: sqlite3.Connection, fingerprint: str, dimension: int) -> None:
    """Put the new vectors in the place of the old ones."""
    db.execute("DROP TRIGGER vector_deleted")
    # In parts, because what one statement may have to undo is held in memory.
    some = "DELETE FROM vectors WHERE number IN (SELECT number FROM vectors LIMIT ?)"
    while db.execute(some, (_VECTORS_AT_ONCE,)).rowcount:
        pass
    db.execute("DROP TABLE vectors")
    db.execute("DROP INDEX next_vectors_by_image")
    db.execute("ALTER TABLE next_vectors RENAME TO vectors")
    db.execute("CREATE INDEX vectors_by_image ON vectors (image)")
    db.execute(COUNT_DELETED_VECTORS)
    db.execute("UPDATE counts SET vectors = (SELECT count(*) FROM vectors)")
    db.execute("DROP TABLE next_embedder")
    sequence = store.advance(db)
    # Every index is older than the vectors it would be replayed with.
    store.forget_deletions(db, sequence)
    db.execute("UPDATE state SET fingerprint = ?, dimension = ?", (fingerprint, dimension))
