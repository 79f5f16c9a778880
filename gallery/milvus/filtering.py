"""Filters as Milvus expressions, over tags: 64-bit hashes of a product's metadata.

A tag stands for a key with its value, so that values are compared as gallery.filters says: 1 is
1.0, but neither true nor "1". Milvus' own JSON expressions know no such difference, and read JSON
row by row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b

from gallery.filters import And, Filter, In, Not, Scalar
from gallery.records import JSON

FIELD = "tags"
# Marks a scene (gallery.scenes), beside the tags of its product's metadata, one of which is this
# once in 2^64.
SCENE = 1
NO_SCENE = f"not (array_contains({FIELD}, {SCENE}))"


def tags_of(metadata: Mapping[str, JSON]) -> list[int]:
    """A tag for each key that has a plain value."""
    return [
        _tag(key, value)
        for key, value in metadata.items()
        if value is None or isinstance(value, str | int | float)
    ]


def expression(where: Filter) -> str:
    """The filter as an expression over `tags`."""
    match where:
        case In(key, values):
            if not values:
                return "image < 0"
            tags = sorted({_tag(key, value) for value in values})
            return f"array_contains_any({FIELD}, {tags})"
        case Not(part):
            return f"not ({expression(part)})"
        case And(parts):
            return " and ".join(f"({expression(part)})" for part in parts) or "image >= 0"


def _tag(key: str, value: Scalar) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    digest = blake2b(json.dumps([key, value]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
