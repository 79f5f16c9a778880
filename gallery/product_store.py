"""Products in SQLite: every statement on their table.

Functions take the connection of a transaction (`Database.read` or `Database.write`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gallery.errors import UnknownProduct
from gallery.records import Product
from gallery.store import now

_PRODUCT = (
    "SELECT id, name, metadata, (SELECT count(*) FROM images WHERE product = products.number),"
    " created_at, updated_at, version FROM products "
)


def put_product(
    db: sqlite3.Connection, product_id: str, name: str, metadata: str, version: int
) -> tuple[Product, bool]:
    """Create the product or replace its name and metadata (JSON text). True when created."""
    at = now()
    replaced = db.execute(
        "UPDATE products SET name = ?, metadata = ?, updated_at = ?, version = ? WHERE id = ?",
        (name, metadata, at, version, product_id),
    ).rowcount
    if not replaced:
        db.execute(
            "INSERT INTO products (id, name, metadata, created_at, updated_at, version)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (product_id, name, metadata, at, at, version),
        )
    return get_product(db, product_id), not replaced


def set_version(db: sqlite3.Connection, product_id: str, version: int) -> None:
    """Note that the product's images changed at the sequence `version`."""
    db.execute("UPDATE products SET version = ? WHERE id = ?", (version, product_id))


def version_of(db: sqlite3.Connection, product_id: str) -> int:
    """0 for a product that doesn't exist."""
    row = db.execute("SELECT version FROM products WHERE id = ?", (product_id,)).fetchone()
    return 0 if row is None else int(row[0])


def get_product(db: sqlite3.Connection, product_id: str) -> Product:
    row = db.execute(_PRODUCT + "WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise UnknownProduct(product_id)
    return _product(row)


def described(db: sqlite3.Connection, product_id: str) -> str | None:
    """The product for the history, as JSON text; None when there is none."""
    row = db.execute(
        "SELECT json_object('name', name, 'metadata', json(metadata), 'images',"
        " (SELECT count(*) FROM images WHERE product = products.number))"
        " FROM products WHERE id = ?",
        (product_id,),
    ).fetchone()
    return None if row is None else str(row[0])


def named(db: sqlite3.Connection, product_id: str) -> tuple[str, str] | None:
    """Name and metadata (JSON text) of the product; None when there is none."""
    row = db.execute("SELECT name, metadata FROM products WHERE id = ?", (product_id,)).fetchone()
    return None if row is None else (row[0], row[1])


def products_after(db: sqlite3.Connection, cursor: str, limit: int) -> list[Product]:
    """At most `limit` products with ids after `cursor`, in the order of their ids."""
    rows = db.execute(_PRODUCT + "WHERE id > ? ORDER BY id LIMIT ?", (cursor, limit))
    return [_product(row) for row in rows]


def metadata_after(db: sqlite3.Connection, sequence: int) -> Iterator[tuple[int, str]]:
    """Number and metadata (JSON text) of the products that changed after `sequence`."""
    return db.execute("SELECT number, metadata FROM products WHERE version > ?", (sequence,))


def delete_product(db: sqlite3.Connection, product_id: str, sequence: int) -> NDArray[np.int64]:
    """Delete the product with its images; returns the images' numbers [n]."""
    number = product_number(db, product_id)
    images = db.execute("SELECT number FROM images WHERE product = ?", (number,)).fetchall()
    db.execute(
        "INSERT INTO deletions (image, sequence) SELECT number, ? FROM images WHERE product = ?",
        (sequence, number),
    )
    db.execute("DELETE FROM products WHERE number = ?", (number,))
    return np.array(images, dtype=np.int64).reshape(-1)


def product_number(db: sqlite3.Connection, product_id: str) -> int:
    """Raises UnknownProduct."""
    row = db.execute("SELECT number FROM products WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise UnknownProduct(product_id)
    return int(row[0])


def _product(row: tuple[str, str, str, int, str, str, int]) -> Product:
    product_id, name, metadata, images, created, updated, version = row
    return Product(
        product_id,
        name,
        json.loads(metadata),
        images,
        datetime.fromisoformat(created),
        datetime.fromisoformat(updated),
        version,
    )
