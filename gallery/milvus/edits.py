"""The changes that a gallery knows, each drafted from what there is; the writer makes it hold.

Every one takes a draft, while nothing else is written, and returns its answer. A draft without
entries changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from gallery.enrolling import Checked, sorted_out
from gallery.errors import UnknownImage, UnknownProduct
from gallery.milvus import product_rows, reference_rows
from gallery.milvus.connection import one_of
from gallery.milvus.draft import Draft, Keep
from gallery.milvus.reference_rows import visible
from gallery.records import AddedImage, NewImage, Product
from gallery.validation import check_version


def put_product(
    draft: Draft, product_id: str, name: str, metadata: str, expected_version: int | None
) -> tuple[Product, bool]:
    """Create or replace what differs; `metadata` is JSON text.

    Raises UnknownProduct or VersionConflict.
    """
    current = product_rows.find(draft.connection, [product_id]).get(product_id)
    check_version(product_id, expected_version, current.version if current else 0)
    if current is not None and (current.name, current.metadata) == (name, metadata):
        return current.product(), False
    return draft.put(current, product_id, name, metadata).product(), current is None


def delete_product(draft: Draft, product_id: str, expected_version: int | None) -> None:
    """Raises UnknownProduct or VersionConflict."""
    current = product_rows.get(draft.connection, product_id)
    check_version(product_id, expected_version, current.version)
    held = reference_rows.having(draft.connection, "product_id", [product_id])
    draft.delete(current, visible(held, draft.start.revision))


def add_images(
    draft: Draft, product_id: str, images: Sequence[Checked], keep: Keep
) -> list[AddedImage]:
    """Add those that the product doesn't have. Raises UnknownProduct."""
    product = product_rows.get(draft.connection, product_id)
    known, taken = _held(draft, [product_id], [image for image, _ in images])
    answers, fresh = sorted_out(known.get(product_id, {}), taken, images)
    if fresh:
        draft.add(product, fresh, keep)
    return answers


def delete_image(draft: Draft, image_id: str) -> None:
    """Raises UnknownImage."""
    held = reference_rows.having(draft.connection, "image_id", [image_id])
    rows = visible(held, draft.start.revision)
    if not rows:
        raise UnknownImage(image_id)
    draft.delete_image(product_rows.get(draft.connection, rows[0]["product_id"]), rows)


def take(
    draft: Draft,
    products: Sequence[Product],
    references: Sequence[tuple[str, Checked]],
    keep: Keep,
) -> None:
    """Put those products that differ, add those references, by product, that are missing.

    Raises UnknownProduct.
    """
    ids = [product.id for product in products] + [product_id for product_id, _ in references]
    there = product_rows.find(draft.connection, ids)
    for product in products:
        metadata = json.dumps(product.metadata, ensure_ascii=False)
        current = there.get(product.id)
        if current is None or (current.name, current.metadata) != (product.name, metadata):
            there[product.id] = draft.put(current, product.id, product.name, metadata)
    known, taken = _held(draft, ids, [image for _, (image, _) in references])
    for product_id, group in groupby(references, key=lambda pair: pair[0]):
        if product_id not in there:
            raise UnknownProduct(product_id)
        held = known.setdefault(product_id, {})
        answers, fresh = sorted_out(held, taken, [checked for _, checked in group])
        taken |= {answer.id for answer in answers}
        held |= {new.content_sha256: image_id for image_id, new, _ in fresh}
        if fresh:
            there[product_id] = draft.add(there[product_id], fresh, keep)


def _held(
    draft: Draft, products: Iterable[str], images: Sequence[NewImage]
) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Of the images: product → content hash → id of those that it has; ids that are taken."""
    contents = [image.content_sha256 for image in images]
    ids = [image.id for image in images if image.id]
    there = f"part == 0 and {one_of('product_id', products)}"
    held = reference_rows.having(draft.connection, "content_sha256", contents, there)
    known: dict[str, dict[str, str]] = {}
    for row in visible(held, draft.start.revision):
        known.setdefault(row["product_id"], {})[row["content_sha256"]] = row["image_id"]
    taken = reference_rows.having(draft.connection, "image_id", ids, "part == 0")
    return known, {row["image_id"] for row in taken}
