"""Reference images in SQLite, with their thumbnails and vectors: every statement on their tables.

Functions take the connection of a transaction (`Database.read` or `Database.write`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.enrolling import Checked, Fresh, sorted_out
from gallery.errors import UnknownImage
from gallery.product_store import product_number
from gallery.records import AddedImage, Image
from gallery.store import VectorRows, decoded, last_number, now


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """Images to add, told apart from those that the product has: answers for all of them."""

    product: int
    answers: list[AddedImage]
    fresh: list[Fresh]


@dataclass(frozen=True, slots=True)
class Label:
    """Of an image; `metadata` is its product's, JSON text."""

    image_id: str
    product_id: str
    name: str
    metadata: str


def sort_out(
    db: sqlite3.Connection,
    product_id: str,
    images: Sequence[Checked],
) -> Sorted:
    """Which of the images, with their checked vectors [V, D], are new. Raises UnknownProduct."""
    product = product_number(db, product_id)
    known = _known(db, product, [image.content_sha256 for image, _ in images])
    taken = _taken(db, [image.id for image, _ in images if image.id])
    answers, fresh = sorted_out(known, taken, images)
    return Sorted(product, answers, fresh)


def _known(db: sqlite3.Connection, product: int, contents: list[str]) -> dict[str, str]:
    """Content hash → image id, of those that the product has already."""
    rows = db.execute(
        "SELECT content_sha256, images.id FROM json_each(?)"
        " CROSS JOIN images ON product = ? AND content_sha256 = value",
        (json.dumps(contents), product),
    )
    return dict(rows.fetchall())


def _taken(db: sqlite3.Connection, ids: list[str]) -> set[str]:
    """Those of the image ids that the gallery has already."""
    rows = db.execute(
        "SELECT id FROM images WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
    )
    return {row[0] for row in rows}


def insert(db: sqlite3.Connection, images: Sorted) -> VectorRows:
    """Add the fresh ones (there must be one) in their order."""
    fresh = images.fresh
    created = now()
    first = last_number(db, "images") + 1
    # Numbers are given here, not asked back row by row: that is what makes a batch quick.
    db.executemany(
        "INSERT INTO images (number, id, product, content_sha256, width, height, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (number, image_id, images.product, new.content_sha256, new.width, new.height, created)
            for number, (image_id, new, _) in enumerate(fresh, start=first)
        ],
    )
    db.executemany(
        "INSERT INTO thumbnails VALUES (?, ?)",
        [(number, new.thumbnail) for number, (_, new, _) in enumerate(fresh, start=first)],
    )
    stacked = np.concatenate([vectors for _, _, vectors in fresh])
    numbers = np.repeat(
        np.arange(first, first + len(fresh), dtype=np.int64),
        [len(vectors) for _, _, vectors in fresh],
    )
    db.executemany(
        "INSERT INTO vectors (image, vector) VALUES (?, ?)",
        zip(numbers.tolist(), map(bytes, stacked.astype("<f2", copy=False)), strict=True),
    )
    db.execute(
        "UPDATE counts SET images = images + ?, vectors = vectors + ?, pictured = pictured"
        " + (NOT EXISTS (SELECT 1 FROM images WHERE product = ? AND number < ?))",
        (len(fresh), len(stacked), images.product, first),
    )
    last = last_number(db, "vectors")
    return VectorRows(stacked, numbers, np.full_like(numbers, images.product), last)


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


def described(content_sha256: str) -> str:
    """An image for the history, as JSON text."""
    return json.dumps({"content_sha256": content_sha256})


def list_images(db: sqlite3.Connection, product_id: str) -> list[Image]:
    """The product's images in the order in which they were added."""
    number = product_number(db, product_id)
    rows = db.execute(_IMAGE + "WHERE product = ? ORDER BY images.number", (number,))
    return [_image(row) for row in rows]


def scan(db: sqlite3.Connection, last: int, limit: int) -> list[tuple[int, Image, bytes]]:
    """At most `limit` images in order, with numbers above `last`: number, image, thumbnail."""
    rows = db.execute(
        "SELECT images.number, jpeg, images.id, products.id, width, height, content_sha256,"
        " images.created_at FROM images JOIN products ON products.number = images.product"
        " JOIN thumbnails ON thumbnails.image = images.number"
        " WHERE images.number > ? ORDER BY images.number LIMIT ?",
        (last, limit),
    )
    return [(number, _image(row), jpeg) for number, jpeg, *row in rows]


def vectors_of(
    db: sqlite3.Connection, first: int, last: int, dimension: int
) -> dict[int, NDArray[np.float16]]:
    """Image number → vectors [V, D], of the images with numbers from `first` to `last`."""
    blobs: dict[int, list[bytes]] = {}
    for number, blob in db.execute(
        "SELECT image, vector FROM vectors WHERE image BETWEEN ? AND ? ORDER BY number",
        (first, last),
    ):
        blobs.setdefault(number, []).append(blob)
    return {
        number: decoded(rows, dimension, f"of the image numbered {number}")
        for number, rows in blobs.items()
    }


def vectors_of_product(
    db: sqlite3.Connection, product_id: str, dimension: int
) -> dict[str, NDArray[np.float16]]:
    """Image id → vectors [V, D] of the product's images, in the order in which they were added."""
    blobs: dict[str, list[bytes]] = {}
    for image_id, blob in db.execute(
        "SELECT images.id, vector FROM images JOIN vectors ON vectors.image = images.number"
        " WHERE product = ? ORDER BY vectors.number",
        (product_number(db, product_id),),
    ):
        blobs.setdefault(image_id, []).append(blob)
    return {
        image_id: decoded(rows, dimension, f"of the image {image_id}")
        for image_id, rows in blobs.items()
    }


def count_up_to(db: sqlite3.Connection, last: int) -> int:
    """How many images have numbers up to `last`."""
    row = db.execute("SELECT count(*) FROM images WHERE number <= ?", (last,)).fetchone()
    return int(row[0])


def delete_image(
    db: sqlite3.Connection, image_id: str, sequence: int
) -> tuple[str, NDArray[np.int64]]:
    """Delete the image; returns its product's id and its own number [1]."""
    row = db.execute(
        "DELETE FROM images WHERE id = ? RETURNING number,"
        " (SELECT id FROM products WHERE products.number = product)",
        (image_id,),
    ).fetchone()
    if row is None:
        raise UnknownImage(image_id)
    db.execute("INSERT INTO deletions (image, sequence) VALUES (?, ?)", (row[0], sequence))
    return row[1], np.array(row[:1], dtype=np.int64)


def labels(db: sqlite3.Connection, images: Sequence[int]) -> dict[int, Label]:
    """What is to be said of images, by their numbers, for those that there are."""
    rows = db.execute(
        "SELECT images.number, images.id, products.id, name, metadata"
        " FROM images JOIN products ON products.number = images.product"
        " WHERE images.number IN (SELECT value FROM json_each(?))",
        (json.dumps(images),),
    )
    return {number: Label(*label) for number, *label in rows}


def _image(row: Sequence[Any]) -> Image:
    image_id, product_id, width, height, sha256, created = row
    return Image(image_id, product_id, width, height, sha256, datetime.fromisoformat(created))
