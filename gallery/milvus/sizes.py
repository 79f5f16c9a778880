"""How much of a gallery a search looks through."""

from __future__ import annotations

from functools import lru_cache

from gallery.filters import Filter
from gallery.milvus.connection import Connection, Level
from gallery.milvus.filtering import expression
from gallery.milvus.log import Log
from gallery.milvus.schema import PRODUCTS, REFERENCES
from gallery.records import SearchedSize

# Counts that are kept.
_MOST = 64


class Sizes:
    """Has the server count once for each revision what is asked for. Thread-safe."""

    def __init__(self, connection: Connection, log: Log) -> None:
        self._connection = connection
        self._log = log
        self._count = lru_cache(_MOST)(self._counted)

    def of(self, where: Filter | None, level: Level) -> SearchedSize:
        """Products are as many of all as images are: references do not tell how many they show."""
        head = self._log.head
        if not head.images:
            return SearchedSize(0, 0)
        products = self._count(PRODUCTS, "images > 0", head.revision, level)
        if where is None:
            return SearchedSize(products, head.images)
        # The first reference of an image stands for it.
        kept = f"({expression(where)}) and part == 0"
        images = self._count(REFERENCES, kept, head.revision, level)
        return SearchedSize(round(products * images / head.images), images)

    def _counted(self, kind: str, where: str, _revision: int, level: Level) -> int:
        return self._connection.count(kind, where, level=level)
