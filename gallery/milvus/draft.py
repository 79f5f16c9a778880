"""A change in the making: what it will say in the log, and the references that it adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gallery.enrolling import Fresh
from gallery.image_store import described
from gallery.milvus import reference_rows
from gallery.milvus.connection import Connection, Row
from gallery.milvus.log import Entry, Head
from gallery.milvus.product_rows import ProductRow
from gallery.milvus.schema import image_number, reference_key
from gallery.scenes import scenes_of
from gallery.store import now

# Keeps pictures and returns their hashes.
Keep = Callable[[Sequence[bytes]], list[str]]


@dataclass(slots=True)
class Draft:
    """Of the revision after `start`. `gone` are the first rows of images that it deletes."""

    connection: Connection
    start: Head
    products: dict[str, ProductRow] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    gone: list[Row] = field(default_factory=list)
    _images: int = 0
    _product_count: int = 0
    _image_count: int = 0
    _vector_count: int = 0

    @property
    def revision(self) -> int:
        return self.start.revision + 1

    @property
    def head(self) -> Head:
        """What the gallery holds when it is done."""
        return Head(
            self.revision,
            self.start.products + self._product_count,
            self.start.images + self._image_count,
            self.start.vectors + self._vector_count,
        )

    def logged(self) -> list[Entry]:
        """The entries, the first of each product with the product as it will be."""
        told: set[str] = set()
        entries = []
        for entry in self.entries:
            first = entry.product_id not in told
            told.add(entry.product_id)
            product = self.products.get(entry.product_id) if first else None
            entries.append(replace(entry, product=product))
        return entries

    def put(
        self, current: ProductRow | None, product_id: str, name: str, metadata: str
    ) -> ProductRow:
        """Create or replace; references say what is said of their product."""
        if current is None:
            product = ProductRow.new(product_id, name, metadata, self.revision)
            self._product_count += 1
        else:
            product = current.put(name, metadata, self.revision)
        before = current.described() if current else ""
        entry = Entry("put product", product_id, before=before, after=product.described())
        if entry.relabels and product.images:
            held = reference_rows.having(
                self.connection, "product_id", [product_id], fields=reference_rows.ALL
            )
            self.rows += reference_rows.written_again(
                reference_rows.visible(held, self.start.revision), product, self.revision
            )
        self.entries.append(entry)
        self.products[product_id] = product
        return product

    def delete(self, product: ProductRow, rows: Sequence[Row]) -> None:
        """The product, and `rows`, which are all of its references."""
        self._product_count -= 1
        self._leave(rows)
        self.entries.append(Entry("delete product", product.id, before=product.described()))

    def add(self, product: ProductRow, fresh: Sequence[Fresh], keep: Keep) -> ProductRow:
        """Images that the product doesn't have."""
        product = product.with_images(len(fresh), self.revision)
        labels, at = reference_rows.labelled(product, self.revision), now()
        pictures = keep([new.thumbnail for _, new, _ in fresh])
        for (image_id, new, vectors), picture in zip(fresh, pictures, strict=True):
            number = image_number(self.revision, self._images)
            image = {
                "image": number,
                "image_id": image_id,
                "width": new.width,
                "height": new.height,
                "content_sha256": new.content_sha256,
                "thumbnail": picture,
                "created_at": at,
            }
            for part, scene in enumerate(scenes_of(len(vectors))):
                row = labels | image | {"key": reference_key(number, part, 0), "part": part}
                row["tags"] = reference_rows.tagged(labels["tags"], scene=bool(scene))
                self.rows.append(row | {"vector": vectors[part].astype(np.float32)})
            after = described(new.content_sha256)
            self.entries.append(Entry("add image", product.id, image_id, after=after))
            self._images += 1
            self._vector_count += len(vectors)
        self._image_count += len(fresh)
        self.products[product.id] = product
        return product

    def delete_image(self, product: ProductRow, rows: Sequence[Row]) -> None:
        """The image whose references `rows` are."""
        self._leave(rows)
        before = described(rows[0]["content_sha256"])
        entry = Entry("delete image", product.id, rows[0]["image_id"], before=before)
        self.entries.append(entry)
        self.products[product.id] = product.with_images(-1, self.revision)

    def _leave(self, rows: Sequence[Row]) -> None:
        self.gone += [row for row in rows if row["part"] == 0]
        self._image_count -= len({row["image"] for row in rows})
        self._vector_count -= len(rows)
