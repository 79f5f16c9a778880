"""Products, images and vectors in SQLite: every statement that touches their tables.

Functions take the connection of a transaction (`Database.read` or `Database.write`). Products and
images have an id for clients and a number for the index; numbers ascend and are never reused.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from gallery.errors import FingerprintMismatch, GalleryDamaged, UnknownImage, UnknownProduct
from gallery.records import AddedImage, Image, NewImage, Product

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class State:
    """Which gallery this is, whose vectors it holds and how many changes it has seen.

    `replay_floor`: an index older than this sequence can't be brought up to date by replay.
    """

    gallery: str
    fingerprint: str
    dimension: int
    sequence: int
    replay_floor: int


@dataclass(frozen=True, slots=True, eq=False)
class VectorRows:
    """Rows of the index: vectors float16 [n, D], their image and product numbers int64 [n].

    `last` is the number of the last vector, from which reading can go on.
    """

    vectors: NDArray[np.float16]
    images: NDArray[np.int64]
    products: NDArray[np.int64]
    last: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are."""

    products: int
    images: int
    vectors: int


def adopt(db: sqlite3.Connection, fingerprint: str, dimension: int) -> None:
    """Make the gallery this embedder's. Raises FingerprintMismatch if it holds another's."""
    stored = db.execute("SELECT fingerprint, dimension FROM state").fetchone()
    if stored is None:
        raise GalleryDamaged("The database has lost its state row. Restore it from a backup.")
    if stored == (fingerprint, dimension):
        return
    if db.execute("SELECT 1 FROM vectors LIMIT 1").fetchone():
        raise FingerprintMismatch(
            f"The gallery holds vectors of the embedder {stored[0]} ({stored[1]}-d), the one "
            f"loaded now is {fingerprint} ({dimension}-d), and their vectors can't be compared. "
            "Start with the pack the gallery was made with, enrol the images again in another "
            "data folder, or re-embed this one."
        )
    db.execute("UPDATE state SET fingerprint = ?, dimension = ?", (fingerprint, dimension))


def state(db: sqlite3.Connection) -> State:
    row = db.execute(
        "SELECT gallery, fingerprint, dimension, sequence, replay_floor FROM state"
    ).fetchone()
    return State(*row)


def advance(db: sqlite3.Connection) -> int:
    """Count one more change and return its number."""
    row = db.execute("UPDATE state SET sequence = sequence + 1 RETURNING sequence").fetchone()
    return int(row[0])


def counts(db: sqlite3.Connection) -> Counts:
    row = db.execute(
        "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM images),"
        " (SELECT count(*) FROM vectors)"
    ).fetchone()
    return Counts(*row)


_PRODUCT = (
    "SELECT id, name, metadata, (SELECT count(*) FROM images WHERE product = products.number),"
    " created_at, updated_at FROM products "
)


def put_product(
    db: sqlite3.Connection, product_id: str, name: str, metadata: str
) -> tuple[Product, bool]:
    """Create the product or replace its name and metadata (JSON text). True when created."""
    now = _now()
    replaced = db.execute(
        "UPDATE products SET name = ?, metadata = ?, updated_at = ? WHERE id = ?",
        (name, metadata, now, product_id),
    ).rowcount
    if not replaced:
        db.execute(
            "INSERT INTO products (id, name, metadata, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (product_id, name, metadata, now, now),
        )
    return get_product(db, product_id), not replaced


def get_product(db: sqlite3.Connection, product_id: str) -> Product:
    row = db.execute(_PRODUCT + "WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise UnknownProduct(product_id)
    return _product(row)


def products_after(db: sqlite3.Connection, cursor: str, limit: int) -> list[Product]:
    """At most `limit` products with ids after `cursor`, in the order of their ids."""
    rows = db.execute(_PRODUCT + "WHERE id > ? ORDER BY id LIMIT ?", (cursor, limit))
    return [_product(row) for row in rows]


def delete_product(db: sqlite3.Connection, product_id: str, sequence: int) -> NDArray[np.int64]:
    """Delete the product with its images; returns the images' numbers [n]."""
    number = _product_number(db, product_id)
    images = db.execute("SELECT number FROM images WHERE product = ?", (number,)).fetchall()
    db.execute(
        "INSERT INTO deletions (image, sequence) SELECT number, ? FROM images WHERE product = ?",
        (sequence, number),
    )
    db.execute("DELETE FROM products WHERE number = ?", (number,))
    return np.array(images, dtype=np.int64).reshape(-1)


def add_images(
    db: sqlite3.Connection,
    product_id: str,
    images: Sequence[tuple[NewImage, NDArray[np.float16]]],
) -> tuple[list[AddedImage], VectorRows | None]:
    """Add images with their checked vectors [V, D] in order; None when all were there already."""
    product = _product_number(db, product_id)
    added: list[AddedImage] = []
    fresh: list[NDArray[np.float16]] = []
    numbers: list[int] = []
    last = 0
    for image, vectors in images:
        known = db.execute(
            "SELECT id FROM images WHERE product = ? AND content_sha256 = ?",
            (product, image.content_sha256),
        ).fetchone()
        if known:
            added.append(AddedImage(known[0], duplicate=True))
            continue
        image_id = uuid.uuid4().hex
        number = db.execute(
            "INSERT INTO images (id, product, content_sha256, width, height, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (image_id, product, image.content_sha256, image.width, image.height, _now()),
        ).lastrowid
        assert number is not None
        db.execute("INSERT INTO thumbnails VALUES (?, ?)", (number, image.thumbnail))
        for vector in vectors:
            inserted = db.execute(
                "INSERT INTO vectors (image, vector) VALUES (?, ?)",
                (number, vector.astype("<f2").tobytes()),
            )
            last = inserted.lastrowid or last
            numbers.append(number)
        fresh.append(vectors)
        added.append(AddedImage(image_id, duplicate=False))
    if not fresh:
        return added, None
    rows = np.array(numbers, dtype=np.int64)
    return added, VectorRows(np.concatenate(fresh), rows, np.full_like(rows, product), last)


_IMAGE = (
    "SELECT images.id, products.id, width, height, content_sha256, images.created_at"
    " FROM images JOIN products ON products.number = images.product "
)


def get_image(db: sqlite3.Connection, image_id: str) -> Image:
    row = db.execute(_IMAGE + "WHERE images.id = ?", (image_id,)).fetchone()
    if row is None:
        raise UnknownImage(image_id)
    return _image(row)


def get_thumbnail(db: sqlite3.Connection, image_id: str) -> bytes:
    row = db.execute(
        "SELECT jpeg FROM thumbnails JOIN images ON images.number = thumbnails.image"
        " WHERE images.id = ?",
        (image_id,),
    ).fetchone()
    if row is None:
        raise UnknownImage(image_id)
    return bytes(row[0])


def list_images(db: sqlite3.Connection, product_id: str) -> list[Image]:
    """The product's images in the order in which they were added."""
    number = _product_number(db, product_id)
    rows = db.execute(_IMAGE + "WHERE product = ? ORDER BY images.number", (number,))
    return [_image(row) for row in rows]


def delete_image(db: sqlite3.Connection, image_id: str, sequence: int) -> NDArray[np.int64]:
    """Delete the image; returns its number [1]."""
    row = db.execute("DELETE FROM images WHERE id = ? RETURNING number", (image_id,)).fetchone()
    if row is None:
        raise UnknownImage(image_id)
    db.execute("INSERT INTO deletions (image, sequence) VALUES (?, ?)", (row[0], sequence))
    return np.array(row, dtype=np.int64)


def labels(db: sqlite3.Connection, images: Sequence[int]) -> dict[int, tuple[str, str, str]]:
    """Image number → (image id, product id, product name), for those that there are."""
    rows = db.execute(
        "SELECT images.number, images.id, products.id, name"
        " FROM images JOIN products ON products.number = images.product"
        " WHERE images.number IN (SELECT value FROM json_each(?))",
        (json.dumps(images),),
    )
    return {number: (image_id, product_id, name) for number, image_id, product_id, name in rows}


def vectors_after(db: sqlite3.Connection, last: int, dimension: int) -> Iterator[VectorRows]:
    """The vectors with numbers above `last`, in their order, some thousands at a time."""
    cursor = db.execute(
        "SELECT vectors.number, image, product, vector"
        " FROM vectors JOIN images ON images.number = vectors.image"
        " WHERE vectors.number > ? ORDER BY vectors.number",
        (last,),
    )
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        numbers, images, products, blobs = zip(*rows, strict=True)
        data = np.frombuffer(b"".join(blobs), dtype=np.uint8)
        if data.size != len(rows) * dimension * 2:
            raise GalleryDamaged(
                f"A stored vector after number {numbers[0]} doesn't have {dimension} dimensions. "
                "Restore the database from a backup."
            )
        yield VectorRows(
            data.view("<f2").astype(np.float16, copy=False).reshape(len(rows), dimension),
            np.array(images, dtype=np.int64),
            np.array(products, dtype=np.int64),
            int(numbers[-1]),
        )


def deleted_after(db: sqlite3.Connection, sequence: int) -> NDArray[np.int64]:
    """Numbers [n] of the images deleted by the changes after `sequence`."""
    rows = db.execute("SELECT image FROM deletions WHERE sequence > ?", (sequence,)).fetchall()
    return np.array(rows, dtype=np.int64).reshape(-1)


def forget_deletions(db: sqlite3.Connection, sequence: int) -> None:
    """Drop the deletions up to `sequence`: no index older than that will be replayed any more."""
    db.execute("DELETE FROM deletions WHERE sequence <= ?", (sequence,))
    db.execute("UPDATE state SET replay_floor = max(replay_floor, ?)", (sequence,))


def _product_number(db: sqlite3.Connection, product_id: str) -> int:
    row = db.execute("SELECT number FROM products WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise UnknownProduct(product_id)
    return int(row[0])


def _product(row: tuple[str, str, str, int, str, str]) -> Product:
    product_id, name, metadata, images, created, updated = row
    return Product(
        product_id,
        name,
        json.loads(metadata),
        images,
        datetime.fromisoformat(created),
        datetime.fromisoformat(updated),
    )


def _image(row: tuple[str, str, int, int, str, str]) -> Image:
    image_id, product_id, width, height, sha256, created = row
    return Image(image_id, product_id, width, height, sha256, datetime.fromisoformat(created))


def _now() -> str:
    return datetime.now(UTC).isoformat()
