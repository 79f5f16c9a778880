"""The log: the changes of the newest revisions, and the counts that each has led to.

The rows of a change are inserted at once, into one shard, so they are there all together or not at
all. From then on the change holds, whatever becomes of the process that made it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gallery.authorship import current_author
from gallery.errors import HistoryForgotten
from gallery.history import KEPT
from gallery.milvus.connection import Connection, Level, Row, literal
from gallery.milvus.product_rows import ProductRow
from gallery.milvus.schema import CHANGES, CLAIM, MOST_ENTRIES, NO_VECTOR, change_key
from gallery.records import AuditedChange, Change, ChangeKind
from gallery.store import now

_HEAD = ("revision", "products", "images", "vectors")
_CHANGE = ("key", "revision", "kind", "product_id", "image_id", "at")
_AUDIT = (*_CHANGE, "author", "request", "before", "after")
_ALL = (*_AUDIT, "product")
# The server looks through the log for what is to go: not at every change.
_FORGET_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """The newest revision and what the gallery holds at it."""

    revision: int = 0
    products: int = 0
    images: int = 0
    vectors: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """To be the one that writes: who, and since when (ISO 8601)."""

    who: str
    at: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What a change did to a product, or to one of its images.

    `before` and `after` are JSON text, empty where there was none. `product` is the product's row
    after the change: of the first of its entries, unless it is gone.
    """

    kind: ChangeKind
    product_id: str
    image_id: str = ""
    before: str = ""
    after: str = ""
    product: ProductRow | None = None

    @property
    def relabels(self) -> bool:
        """Whether the product's references are written again, with what is said of it now."""
        return self.kind == "put product" and bool(self.before) and self.before != self.after


class Log:
    """Reads and appends; knows the newest revision that this process has seen. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._head = Head()

    @property
    def head(self) -> Head:
        """The newest that is known here."""
        return self._head

    def refresh(self, level: Level = "Bounded") -> Head:
        """Ask for what others have done; the newest."""
        rows = self._connection.query(CHANGES, "key >= 0", _HEAD, limit=1, level=level)
        if rows:
            self._know(_head(rows[0]))
        return self._head

    def writer(self) -> Claim | None:
        """The newest claim to be the one that writes; `head` is the newest there is by then."""
        rows = self._connection.query(
            CHANGES, f"key >= {CLAIM}", (*_HEAD, "key", "author", "at"), limit=2, level="Strong"
        )
        for row in rows:
            if row["key"] != CLAIM:
                self._know(_head(row))
                break
        claims = [Claim(row["author"], row["at"]) for row in rows if row["key"] == CLAIM]
        return claims[0] if claims else None

    def claim(self, who: str) -> None:
        """To be the one that writes, in the place of any other."""
        nothing = dict.fromkeys(("image_id", "request", "before", "after", "product"), "")
        counts = dict.fromkeys(_HEAD, 0)
        row = {"key": CLAIM, "kind": "claim", "product_id": "", "author": who, "at": now()}
        self._connection.upsert(CHANGES, [row | nothing | counts | {"vector": NO_VECTOR}])

    def append(self, head: Head, entries: Sequence[Entry]) -> None:
        """Make the change hold that leads to `head`; `settled` is told when all of it is done."""
        author, at = current_author(), now()
        counts = {"products": head.products, "images": head.images, "vectors": head.vectors}
        self._connection.insert(
            CHANGES,
            [
                {
                    "key": change_key(head.revision, place),
                    "revision": head.revision,
                    "kind": entry.kind,
                    "product_id": entry.product_id,
                    "image_id": entry.image_id,
                    "at": at,
                    "author": author.name or "",
                    "request": author.request_id or "",
                    "before": entry.before,
                    "after": entry.after,
                    "product": "" if entry.product is None else entry.product.text(),
                    "vector": NO_VECTOR,
                    **counts,
                }
                for place, entry in enumerate(entries)
            ],
        )

    def settled(self, head: Head) -> None:
        """The change that leads to `head` is seen everywhere."""
        self._know(head)
        if head.revision % _FORGET_EVERY == 0:
            self._forget()

    def entries(self, revision: int) -> list[Entry]:
        """What the change did; with nothing later it can be done again."""
        rows = self._connection.query(CHANGES, f"revision == {revision}", _ALL, level="Strong")
        return [
            Entry(
                row["kind"],
                row["product_id"],
                row["image_id"],
                row["before"],
                row["after"],
                ProductRow.parsed(row["product"]) if row["product"] else None,
            )
            for row in sorted(rows, key=_order)
        ]

    def after(self, revision: int, limit: int) -> list[Change]:
        """The changes of the `limit` revisions after `revision`. Raises HistoryForgotten."""
        if revision > self.head.revision:
            # Told by another replica, perhaps, that has seen more.
            self.refresh("Strong")
        oldest, newest = self._oldest(), self.head.revision
        if not oldest <= revision <= newest:
            raise HistoryForgotten(revision, oldest, newest)
        where = f"revision > {revision} and revision <= {min(revision + limit, self.head.revision)}"
        rows = self._connection.query(CHANGES, where, _CHANGE)
        return [Change(*_fields(row)) for row in sorted(rows, key=_order)]

    def newest(
        self, below: int | None, limit: int, product_id: str | None, author: str | None
    ) -> tuple[list[AuditedChange], int | None]:
        """At most `limit` entries before the place `below`, newest first, and the next place."""
        parts = [f"key > {below or 0}"]
        if product_id is not None:
            parts.append(f"product_id == {literal(product_id)}")
        if author is not None:
            parts.append(f"author == {literal(author)}")
        rows = self._connection.query(CHANGES, " and ".join(parts), _AUDIT, limit=limit + 1)
        rows.sort(key=lambda row: int(row["key"]))
        page = rows[:limit]
        found = [
            AuditedChange(
                *_fields(row),
                row["author"] or None,
                row["request"] or None,
                json.loads(row["before"] or "null"),
                json.loads(row["after"] or "null"),
            )
            for row in page
        ]
        return found, int(page[-1]["key"]) if len(rows) > limit else None

    def _know(self, head: Head) -> None:
        with self._lock:
            if head.revision > self._head.revision:
                self._head = head

    def _oldest(self) -> int:
        """The revision after which all changes are kept."""
        return max(0, self.head.revision // _FORGET_EVERY * _FORGET_EVERY - KEPT)

    def _forget(self) -> None:
        if oldest := self._oldest():
            where = f"key >= {change_key(oldest, MOST_ENTRIES - 1)}"
            rows = self._connection.query(CHANGES, where, ("key",))
            self._connection.delete(CHANGES, "key", [row["key"] for row in rows])


def _head(row: Row) -> Head:
    return Head(**{field: row[field] for field in _HEAD})


def _order(row: Row) -> int:
    return -int(row["key"])


def _fields(row: Row) -> tuple[int, ChangeKind, str, str | None, datetime]:
    """Those of a Change."""
    at = datetime.fromisoformat(row["at"])
    return row["revision"], row["kind"], row["product_id"], row["image_id"] or None, at
