"""How much of a gallery a search looks through."""

from __future__ import annotations

import threading
from collections import OrderedDict

from gallery.filters import Filter
from gallery.milvus.connection import Connection, Level
from gallery.milvus.filtering import expression
from gallery.milvus.log import Log
from gallery.milvus.schema import REFERENCES
from gallery.records import SearchedSize

# Filters whose counts are kept: those not asked for longest go first.
_MOST = 64


class Sizes:
    """Counts what a filter keeps once for each revision. Thread-safe."""

    def __init__(self, connection: Connection, log: Log) -> None:
        self._connection = connection
        self._log = log
        self._lock = threading.Lock()
        # By the filter's expression: revision and images.
        self._counted: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def of(self, where: Filter | None, level: Level) -> SearchedSize:
        """Products are as many of all as images are: references do not tell how many they show."""
        head = self._log.head
        if where is None or not head.images:
            return SearchedSize(head.products, head.images)
        images = self._images(expression(where), head.revision, level)
        return SearchedSize(round(head.products * images / head.images), images)

    def _images(self, kept: str, revision: int, level: Level) -> int:
        with self._lock:
            at, images = self._counted.get(kept, (-1, 0))
        if at != revision:
            # The first reference of an image stands for it.
            images = self._connection.count(REFERENCES, f"({kept}) and part == 0", level=level)
        with self._lock:
            self._counted[kept] = (revision, images)
            self._counted.move_to_end(kept)
            while len(self._counted) > _MOST:
                self._counted.popitem(last=False)
        return images
