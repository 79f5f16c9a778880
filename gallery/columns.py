"""Metadata by column, in memory, for the keys that searches filter by.

A column is read once and then follows the products that changed, so that a filter costs a few
array operations, whatever the number of products and however often they change.
"""

from __future__ import annotations

import json
import threading
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gallery import product_store, store
from gallery.database import Database
from gallery.filters import And, Filter, In, Not, keys_of
from gallery.records import JSON

# Keys are the callers': those not used for longest go first.
_MOST_COLUMNS = 64
_NO_VALUE = -1
# Whether it is a boolean, because in Python True == 1, and the value.
_Value: TypeAlias = tuple[bool, str | int | float | bool | None]


class Column:
    """The values of one key, as codes int32 [n] by product number."""

    def __init__(self) -> None:
        self._codes = np.empty(0, dtype=np.int32)
        self._code_of: dict[_Value, int] = {}

    def grow(self, size: int) -> None:
        # Every search that filters asks, of every column.
        if size > len(self._codes):
            missing = np.full(size - len(self._codes), _NO_VALUE, dtype=np.int32)
            self._codes = np.concatenate([self._codes, missing])

    def put(self, number: int, metadata: dict[str, JSON], key: str) -> None:
        value = metadata.get(key)
        if key not in metadata or isinstance(value, dict | list):
            self._codes[number] = _NO_VALUE
        else:
            self._codes[number] = self._code_of.setdefault(
                (isinstance(value, bool), value), len(self._code_of)
            )

    def having(self, where: In) -> NDArray[np.bool_]:
        wanted = [self._code_of.get((isinstance(value, bool), value)) for value in where.values]
        codes = [code for code in wanted if code is not None]
        return np.isin(self._codes, codes)


class Columns:
    """The columns of a gallery. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._columns: dict[str, Column] = {}
        self._sequence = 0

    def selected(self, where: Filter) -> NDArray[np.bool_]:
        """Which products the filter keeps, by number: bool [greatest number ever + 1].

        Those that never were or are deleted may be kept too: they have no vectors.
        """
        with self._lock:
            size = self._catch_up(set(keys_of(where)))
            return self._evaluated(where, size)

    def _catch_up(self, keys: set[str]) -> int:
        known = {key: self._columns.pop(key) for key in keys if key in self._columns}
        kept = dict(list(self._columns.items())[-_MOST_COLUMNS:]) | known
        fresh = {key: Column() for key in keys - set(known)}
        with self._database.read() as db:
            sequence = store.state(db).sequence
            size = store.last_number(db, "products") + 1
            for after, columns in ((self._sequence, kept), (0, fresh)):
                for column in columns.values():
                    column.grow(size)
                if not columns or after == sequence:
                    continue
                for number, metadata in product_store.metadata_after(db, after):
                    values = json.loads(metadata)
                    for key, column in columns.items():
                        column.put(number, values, key)
        self._columns, self._sequence = kept | fresh, sequence
        return size

    def _evaluated(self, where: Filter, size: int) -> NDArray[np.bool_]:
        match where:
            case In():
                return self._columns[where.key].having(where)
            case Not(part):
                return ~self._evaluated(part, size)
            case And(parts):
                selected = np.ones(size, dtype=np.bool_)
                for part in parts:
                    selected &= self._evaluated(part, size)
                return selected
