"""The changes a gallery knows: each in the database, the history and the view at once.

Every one takes the connection of the transaction and the view before it, and returns its answer
and the view after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby

from gallery import history, image_store, product_store, store
from gallery.enrolling import Checked
from gallery.records import AddedImage, Product
from gallery.validation import check_version
from gallery.view import View


def put_product(
    db: sqlite3.Connection,
    view: View,
    product_id: str,
    name: str,
    metadata: str,
    expected_version: int | None,
) -> tuple[tuple[Product, bool], View]:
    """Create or replace what differs; `metadata` is JSON text.

    Raises UnknownProduct or VersionConflict.
    """
    check_version(product_id, expected_version, product_store.version_of(db, product_id))
    if product_store.named(db, product_id) == (name, metadata):
        return (product_store.get_product(db, product_id), False), view
    sequence = store.advance(db)
    before = product_store.described(db, product_id)
    answer = product_store.put_product(db, product_id, name, metadata, sequence)
    after = product_store.described(db, product_id)
    history.record(db, sequence, "put product", product_id, [(None, before, after)])
    return answer, view.at(sequence)


def delete_product(
    db: sqlite3.Connection, view: View, product_id: str, expected_version: int | None
) -> tuple[None, View]:
    """Raises UnknownProduct or VersionConflict."""
    product_store.product_number(db, product_id)
    check_version(product_id, expected_version, product_store.version_of(db, product_id))
    sequence = store.advance(db)
    before = product_store.described(db, product_id)
    images = product_store.delete_product(db, product_id, sequence)
    history.record(db, sequence, "delete product", product_id, [(None, before, None)])
    return None, view.without_images(images).at(sequence)


def add_images(
    db: sqlite3.Connection,
    view: View,
    product_id: str,
    images: Sequence[Checked],
) -> tuple[list[AddedImage], View]:
    """Add those that the product doesn't have, with vectors [V, D]. Raises UnknownProduct."""
    checked = image_store.sort_out(db, product_id, images)
    if not checked.fresh:
        return checked.answers, view
    sequence = store.advance(db)
    rows = _inserted(db, sequence, product_id, checked)
    return checked.answers, view.with_rows(rows).at(sequence)


def delete_image(db: sqlite3.Connection, view: View, image_id: str) -> tuple[None, View]:
    """Raises UnknownImage."""
    sequence = store.advance(db)
    content = image_store.get_image(db, image_id).content_sha256
    product_id, images = image_store.delete_image(db, image_id, sequence)
    product_store.set_version(db, product_id, sequence)
    deleted = (image_id, image_store.described(content), None)
    history.record(db, sequence, "delete image", product_id, [deleted])
    return None, view.without_images(images).at(sequence)


def take(
    db: sqlite3.Connection,
    view: View,
    products: Sequence[tuple[str, str, str]],
    references: Sequence[tuple[str, Checked]],
) -> tuple[None, View]:
    """Put those products (id, name, metadata as JSON text) that differ, add missing references.

    `references` come with their product's id. Raises UnknownProduct.
    """
    sequence = store.state(db).sequence + 1
    changed = False
    for product_id, name, metadata in products:
        before = product_store.described(db, product_id)
        if product_store.named(db, product_id) != (name, metadata):
            product_store.put_product(db, product_id, name, metadata, sequence)
            after = product_store.described(db, product_id)
            history.record(db, sequence, "put product", product_id, [(None, before, after)])
            changed = True
    for product_id, group in groupby(references, key=lambda pair: pair[0]):
        checked = image_store.sort_out(db, product_id, [image for _, image in group])
        if checked.fresh:
            view = view.with_rows(_inserted(db, sequence, product_id, checked))
            changed = True
    return None, view.at(store.advance(db)) if changed else view


def _inserted(
    db: sqlite3.Connection, sequence: int, product_id: str, checked: image_store.Sorted
) -> store.VectorRows:
    rows = image_store.insert(db, checked)
    product_store.set_version(db, product_id, sequence)
    added = [
        (image_id, None, image_store.described(image.content_sha256))
        for image_id, image, _ in checked.fresh
    ]
    history.record(db, sequence, "add image", product_id, added)
    return rows
