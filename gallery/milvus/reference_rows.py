"""Reference images as rows, one for each vector, with all that a search answers with.

A row is never changed. When its product gets another name or other metadata, rows that say so are
added before the change is in the log, and the old ones go when it is: between the two there are
both, of which the newer counts once the log has its revision.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import numpy as np

from gallery.milvus.connection import Connection, Level, Row, one_of
from gallery.milvus.filtering import SCENE, tags_of
from gallery.milvus.product_rows import ProductRow
from gallery.milvus.schema import (
    REFERENCES,
    first_key_after,
    reference_key,
    written,
)
from gallery.records import Image

IMAGE = (
    "key",
    "image",
    "part",
    "revision",
    "image_id",
    "product_id",
    "width",
    "height",
    "content_sha256",
    "thumbnail",
    "created_at",
)
ALL = (*IMAGE, "vector")
_VALUES_AT_ONCE = 1000


def labelled(product: ProductRow, revision: int) -> Row:
    """What a reference says of its product, from `revision` on."""
    return {
        "product_id": product.id,
        "name": product.name,
        "metadata": product.metadata,
        "tags": tags_of(json.loads(product.metadata)),
        "revision": revision,
    }


def tagged(tags: Sequence[int], *, scene: bool) -> list[int]:
    """The tags of a reference's row, by those of its product."""
    return [*tags, SCENE] if scene else list(tags)


def written_again(rows: Sequence[Row], product: ProductRow, revision: int) -> list[Row]:
    """Rows, with their vectors, that say of `product` what is right from `revision` on."""
    labels = labelled(product, revision)
    several = {row["image"] for row in rows if row["part"]}
    return [
        {
            **row,
            **labels,
            "tags": tagged(labels["tags"], scene=not row["part"] and row["image"] in several),
            "key": reference_key(row["image"], row["part"], written(row["key"]) + 1),
            "vector": np.asarray(row["vector"], dtype=np.float32),
        }
        for row in rows
    ]


def visible(rows: Iterable[Row], revision: int) -> list[Row]:
    """The rows as of `revision`, one for each vector, in the order in which they were added."""
    newest: dict[tuple[int, int], Row] = {}
    for row in sorted(rows, key=lambda row: row["revision"]):
        if row["revision"] <= revision:
            newest[row["image"], row["part"]] = row
    return [newest[place] for place in sorted(newest)]


def by_image(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in their order, by image."""
    image: list[Row] = []
    for row in rows:
        if image and row["image"] != image[0]["image"]:
            yield image
            image = []
        image.append(row)
    if image:
        yield image


def having(
    connection: Connection,
    field: str,
    values: Iterable[str],
    where: str = "part >= 0",
    fields: Sequence[str] = IMAGE,
) -> list[Row]:
    """`fields` of the rows whose `field` is one of the values."""
    wanted = list(dict.fromkeys(values))
    found: list[Row] = []
    for start in range(0, len(wanted), _VALUES_AT_ONCE):
        listed = one_of(field, wanted[start : start + _VALUES_AT_ONCE])
        found += connection.query(REFERENCES, f"{listed} and {where}", fields)
    return found


def after(connection: Connection, image: int, limit: int) -> list[Row]:
    """At most `limit` whole rows of images with greater numbers, in the order of their keys."""
    where = f"key >= {first_key_after(image)}"
    found = connection.query(REFERENCES, where, ALL, limit=limit, level="Strong")
    return sorted(found, key=lambda row: row["key"])


def image_of(row: Row) -> Image:
    return Image(
        row["image_id"],
        row["product_id"],
        row["width"],
        row["height"],
        row["content_sha256"],
        datetime.fromisoformat(row["created_at"]),
    )


def delete(connection: Connection, where: str, level: Level) -> None:
    """The rows that `where` keeps, of those that are seen at `level`."""
    rows = connection.query(REFERENCES, where, ("key",), level=level)
    connection.delete(REFERENCES, "key", [row["key"] for row in rows])
