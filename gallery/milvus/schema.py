"""The collections of a gallery on Milvus, and their rows.

Three, of one shard each: `products` by id; `references`, a row for each vector, which has all that
a search answers with; `changes`, the log. Milvus wants a vector of every row: those that have none
carry two zeros.
"""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, MilvusClient

PRODUCTS, REFERENCES, CHANGES = "products", "references", "changes"
KINDS = (PRODUCTS, REFERENCES, CHANGES)
NO_VECTOR = [0.0, 0.0]

# In bytes, of a VARCHAR.
_LONGEST = 65_535
MOST_ID_BYTES = 1024
MOST_NAME_BYTES = 4096
# The log holds it twice beside a name.
MOST_METADATA_BYTES = 48 * 1024
# The server takes 4,096; one is the scene's.
MOST_TAGS = 4095

# A reference's key: the number of its image, which of the image's vectors it is, and how often it
# was written again modulo 16. So keys have the order in which images were added.
_PART_BITS, _WRITTEN_BITS = 8, 4
MOST_PARTS = 1 << _PART_BITS
# An image's number: the revision that added it and its place among those of that revision.
_PLACE_BITS = 12
MOST_IMAGES = 1 << _PLACE_BITS
# A change's key descends with its revision and the entry: the newest has the smallest.
_ENTRY_BITS = 20
MOST_ENTRIES = 1 << _ENTRY_BITS
# Before all changes: the one row that says who writes.
CLAIM = -1
# No revision is greater.
ANY_REVISION = (1 << 62 - _ENTRY_BITS) - 1

# HNSW as the gallery on one machine has it for a million (docs/benchmarks.md).
INDEX = {"M": 16, "efConstruction": 128}
WIDTH = 192


def image_number(revision: int, place: int) -> int:
    return revision << _PLACE_BITS | place


def added_at(image: int) -> int:
    """The revision that added the image of this number."""
    return image >> _PLACE_BITS


def reference_key(image: int, part: int, written: int) -> int:
    return (image << _PART_BITS | part) << _WRITTEN_BITS | written % (1 << _WRITTEN_BITS)


def first_key_after(image: int) -> int:
    """The smallest key that a reference of a later image can have."""
    return image + 1 << _PART_BITS + _WRITTEN_BITS


def written(key: int) -> int:
    return key % (1 << _WRITTEN_BITS)


def change_key(revision: int, entry: int) -> int:
    return ANY_REVISION - revision << _ENTRY_BITS | MOST_ENTRIES - 1 - entry


def schema_of(kind: str, dimension: int, description: str) -> tuple[Any, Any]:
    """Fields and index of a collection."""
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description=description
    )
    index = MilvusClient.prepare_index_params()
    if kind == PRODUCTS:
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MOST_ID_BYTES)
        _text(schema, name=MOST_NAME_BYTES, metadata=_LONGEST, created_at=64, updated_at=64)
        _numbers(schema, "images", "version")
    elif kind == REFERENCES:
        schema.add_field("key", DataType.INT64, is_primary=True)
        _numbers(schema, "image", "part", "revision", "width", "height")
        _text(schema, image_id=64, product_id=MOST_ID_BYTES, name=MOST_NAME_BYTES)
        _text(schema, metadata=_LONGEST, content_sha256=64, thumbnail=64, created_at=64)
        schema.add_field(
            "tags", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_TAGS + 1
        )
    else:
        schema.add_field("key", DataType.INT64, is_primary=True)
        _numbers(schema, "revision", "products", "images", "vectors")
        _text(schema, kind=32, product_id=MOST_ID_BYTES, image_id=64, at=64)
        _text(schema, author=1024, request=256, before=_LONGEST, after=_LONGEST, product=_LONGEST)
    vectors = kind == REFERENCES
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension if vectors else len(NO_VECTOR))
    index.add_index(
        "vector",
        index_type="HNSW" if vectors else "FLAT",
        metric_type="IP",
        params=INDEX if vectors else {},
    )
    return schema, index


def _numbers(schema: Any, *names: str) -> None:
    for name in names:
        schema.add_field(name, DataType.INT64)


def _text(schema: Any, **longest: int) -> None:
    for name, most in longest.items():
        schema.add_field(name, DataType.VARCHAR, max_length=most)
