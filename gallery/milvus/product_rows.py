"""Products as rows: each row is replaced as a whole, by its id."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from gallery.errors import InvalidValue, UnknownProduct
from gallery.milvus.connection import Connection, Level, Row, literal, one_of
from gallery.milvus.schema import (
    MOST_ID_BYTES,
    MOST_METADATA_BYTES,
    MOST_NAME_BYTES,
    MOST_TAGS,
    NO_VECTOR,
    PRODUCTS,
)
from gallery.records import Product
from gallery.store import now

_FIELDS = ("id", "name", "metadata", "images", "version", "created_at", "updated_at")
_IDS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product as it is stored: `metadata` is JSON text, `images` how many there are."""

    id: str
    name: str
    metadata: str
    images: int
    version: int
    created_at: str
    updated_at: str

    @classmethod
    def new(cls, product_id: str, name: str, metadata: str, version: int) -> Self:
        at = now()
        return cls(product_id, name, metadata, 0, version, at, at)

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(*(row[field] for field in _FIELDS))

    @classmethod
    def parsed(cls, text: str) -> Self:
        """From the log."""
        row = json.loads(text)
        return cls.of(row | {"metadata": json.dumps(row["metadata"], ensure_ascii=False)})

    def put(self, name: str, metadata: str, version: int) -> ProductRow:
        return replace(self, name=name, metadata=metadata, version=version, updated_at=now())

    def with_images(self, more: int, version: int) -> ProductRow:
        return replace(self, images=self.images + more, version=version)

    def text(self) -> str:
        """For the log."""
        row = {field: getattr(self, field) for field in _FIELDS}
        return json.dumps(row | {"metadata": json.loads(self.metadata)}, ensure_ascii=False)

    def described(self) -> str:
        """For the history, as JSON text."""
        described = {
            "name": self.name,
            "metadata": json.loads(self.metadata),
            "images": self.images,
        }
        return json.dumps(described, ensure_ascii=False)

    def row(self) -> Row:
        return {field: getattr(self, field) for field in _FIELDS} | {"vector": NO_VECTOR}

    def product(self) -> Product:
        return Product(
            self.id,
            self.name,
            json.loads(self.metadata),
            self.images,
            datetime.fromisoformat(self.created_at),
            datetime.fromisoformat(self.updated_at),
            self.version,
        )


def check_sizes(product_id: str, name: str, metadata: str, keys: int) -> None:
    """What Milvus can hold of a product. Raises InvalidValue."""
    for what, size, most in (
        ("product id", len(product_id.encode()), MOST_ID_BYTES),
        ("product name", len(name.encode()), MOST_NAME_BYTES),
        ("metadata", len(metadata.encode()), MOST_METADATA_BYTES),
    ):
        if size > most:
            raise InvalidValue(f"The {what} has {size:,} bytes; at most {most:,} can be stored.")
    if keys > MOST_TAGS:
        raise InvalidValue(f"The metadata has {keys:,} keys; at most {MOST_TAGS:,} can be stored.")


def find(connection: Connection, ids: Iterable[str]) -> dict[str, ProductRow]:
    """Those of the products that there are."""
    wanted = list(dict.fromkeys(ids))
    found: dict[str, ProductRow] = {}
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        where = one_of("id", wanted[start : start + _IDS_AT_ONCE])
        for row in connection.query(PRODUCTS, where, _FIELDS):
            found[row["id"]] = ProductRow.of(row)
    return found


def get(connection: Connection, product_id: str) -> ProductRow:
    found = find(connection, [product_id]).get(product_id)
    if found is None:
        raise UnknownProduct(product_id)
    return found


def after(
    connection: Connection, cursor: str, limit: int, level: Level = "Session"
) -> list[ProductRow]:
    """At most `limit` products with ids after `cursor`, in the order of their ids."""
    where = f"id > {literal(cursor)}"
    rows = connection.query(PRODUCTS, where, _FIELDS, limit=limit, level=level)
    return sorted((ProductRow.of(row) for row in rows), key=lambda row: row.id.encode())
