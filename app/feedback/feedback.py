"""What people said of results, what was decided upon it, and who did what: one SQLite file.

An item holds the picture of its body alone, not the rest of the photograph. The trail of what was
done is kept for good; pictures of what was decided are kept for as long as it can be undone.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, JsonValue, TypeAdapter

from app.feedback.photographs import Seen
from gallery import StorageFailed, current_author
from gallery.database import is_damage

State = Literal["waiting", "approved", "rejected"]
# What feedback says of an answer: right; another product; a product where none was named; none
# where one was named.
Verdict = Literal["right", "wrong", "missed", "none"]
Kind = Literal["reference", "negative"]
Action = Literal["said", "approved", "held back", "rejected", "undone"]

MOST_WAITING = 1000
# Of those decided, so many of the newest keep their picture.
UNDOABLE = 1000
MOST_NEGATIVES = 1000

_SETTINGS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA temp_store = MEMORY;
PRAGMA legacy_alter_table = ON;
"""
# `photograph`: its SHA-256, for clients may use an id again; empty where that was not noted yet.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL, result INTEGER NOT NULL,
    created_at TEXT NOT NULL, seen TEXT NOT NULL, product_id TEXT, verdict TEXT NOT NULL,
    state TEXT NOT NULL, kept_as TEXT, image_id TEXT, decided_at TEXT,
    vectors BLOB, fingerprint TEXT, picture BLOB, photograph TEXT NOT NULL,
    UNIQUE (request_id, result, photograph)
) STRICT;
CREATE VIEW IF NOT EXISTS listed AS SELECT
    id, request_id, result, created_at, seen, product_id, verdict, state, kept_as, image_id,
    decided_at, picture IS NOT NULL
FROM items;
CREATE INDEX IF NOT EXISTS items_by_state ON items (state, id);
CREATE TABLE IF NOT EXISTS trail (
    number INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER NOT NULL REFERENCES items (id),
    at TEXT NOT NULL, by TEXT, action TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS trail_by_item ON trail (item);
"""
# Of a file in which an id was one photograph's for good. The trail's reference stays as it is named
# (legacy_alter_table).
_SET_ASIDE = """
BEGIN;
DROP VIEW listed;
DROP INDEX items_by_state;
ALTER TABLE items RENAME TO items_before;
"""
_TAKE_OVER = """
INSERT INTO items SELECT *, '' FROM items_before;
DROP TABLE items_before;
COMMIT;
"""
_DETAIL = TypeAdapter(dict[str, JsonValue])


class UnknownFeedback(Exception):
    """There is no feedback with this id."""


class FeedbackDecided(Exception):
    """Feedback isn't in the state that what is asked needs."""


class QueueFull(Exception):
    """As much waits for review, or as many negatives are kept, as may."""


class Entry(BaseModel):
    """A line of the audit trail: what was done when, `by` the label of whose key, null without."""

    at: datetime
    by: str | None
    action: Action
    detail: dict[str, JsonValue] = Field(description="Figures and choices at that moment.")


@dataclass(frozen=True, slots=True)
class Item:
    """Feedback on one body.

    `product_id`: what it is, as was said, or as what it was approved; None: none of the products.
    `image_id`: the reference that it became. `undoable`: its picture is still there.
    """

    id: int
    request_id: str
    result: int
    created_at: datetime
    seen: Seen
    product_id: str | None
    verdict: Verdict
    state: State
    kept_as: Kind | None
    image_id: str | None
    decided_at: datetime | None
    undoable: bool


class Feedback:
    """The items and their trail. Thread-safe; a change that has returned is on the disk."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            StorageFailed: it can't be read or written.
        """
        self._lock = RLock()
        self._path = path
        with self._failing_clearly():
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.executescript(_SETTINGS)
            columns = [name for _, name, *_ in self._rows("PRAGMA table_info (items)")]
            old = columns and "photograph" not in columns
            self._db.executescript(_SET_ASIDE + _SCHEMA + _TAKE_OVER if old else _SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """One transaction of the calls within: all of them or none."""
        with self._lock, self._failing_clearly():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite ends it itself where the disk is full
                    self._db.execute("ROLLBACK")
                raise

    def say(
        self,
        request_id: str,
        result: int,
        seen: Seen,
        product_id: str | None,
        picture: bytes,
        photograph: str,
    ) -> tuple[Item, bool]:
        """Add feedback, or change what waits; True when it is new.

        `picture`: of the body; `photograph`: the SHA-256 of what it was cut out of. Another
        photograph with the same request's id has feedback of its own.

        Raises:
            FeedbackDecided: what was said of this result before has been decided upon.
            QueueFull: MOST_WAITING wait already.
        """
        known = self._rows(
            "SELECT id, state FROM items WHERE (request_id, result, photograph) = (?, ?, ?)",
            request_id,
            result,
            photograph,
        )
        if known and known[0][1] != "waiting":
            raise FeedbackDecided(
                f"Feedback on this result (#{known[0][0]}) is {known[0][1]} already; undo that "
                "first."
            )
        if known:
            self._write(
                "UPDATE items SET seen = ?, product_id = ?, verdict = ?, picture = ? WHERE id = ?",
                seen.model_dump_json(),
                product_id,
                _verdict(seen, product_id),
                picture,
                known[0][0],
            )
            return self.get(known[0][0]), False
        if self.counts()["waiting"] >= MOST_WAITING:
            raise QueueFull(f"{MOST_WAITING} wait for review already. Review some of them first.")
        number = self._write(
            "INSERT INTO items (request_id, result, created_at, seen, product_id, verdict, state,"
            " picture, photograph) VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, ?)",
            request_id,
            result,
            _now(),
            seen.model_dump_json(),
            product_id,
            _verdict(seen, product_id),
            picture,
            photograph,
        )
        return self.get(number), True

    def get(self, number: int) -> Item:
        """Raises UnknownFeedback."""
        found = self._rows("SELECT * FROM listed WHERE id = ?", number)
        if not found:
            raise UnknownFeedback(f"There is no feedback {number}.")
        return _item(found[0])

    def page(
        self, state: State | None, verdict: Verdict | None, before: int | None, limit: int
    ) -> list[Item]:
        """The newest first, those before the item `before`."""
        rows = self._rows(
            "SELECT * FROM listed WHERE (?1 IS NULL OR state = ?1)"
            " AND (?2 IS NULL OR verdict = ?2) AND (?3 IS NULL OR id < ?3)"
            " ORDER BY id DESC LIMIT ?4",
            state,
            verdict,
            before,
            limit,
        )
        return [_item(row) for row in rows]

    def counts(self) -> dict[State, int]:
        """How many items are in each state."""
        found = dict(self._rows("SELECT state, count(*) FROM items GROUP BY state"))
        states: tuple[State, ...] = ("waiting", "approved", "rejected")
        return {state: found.get(state, 0) for state in states}

    def picture(self, number: int) -> bytes:
        """The JPEG of its body. Raises UnknownFeedback, also when it is no longer kept."""
        found = self._rows("SELECT picture FROM items WHERE id = ?", number)
        if not found or found[0][0] is None:
            raise UnknownFeedback(f"There is no feedback {number}, or no picture of it any more.")
        picture: bytes = found[0][0]
        return picture

    def trail(self, number: int) -> list[Entry]:
        """What was done with an item, oldest first."""
        rows = self._rows(
            "SELECT at, by, action, detail FROM trail WHERE item = ? ORDER BY number", number
        )
        return [
            Entry(at=at, by=by, action=action, detail=_DETAIL.validate_json(detail))
            for at, by, action, detail in rows
        ]

    def note(self, number: int, action: Action, detail: dict[str, Any]) -> None:
        """Write a line of the trail, as the author's whose request this is."""
        text = _DETAIL.dump_json(detail).decode()
        self._write(
            "INSERT INTO trail (item, at, by, action, detail) VALUES (?, ?, ?, ?, ?)",
            number,
            _now(),
            current_author().name,
            action,
            text,
        )

    def approve(self, number: int, product_id: str | None, image_id: str | None) -> None:
        """It has become a reference, one that the product had already where there is no id."""
        self._decide(number, "approved", "reference", product_id, image_id)

    def approve_negative(self, number: int, vectors: NDArray[np.float16], fingerprint: str) -> None:
        """It is a negative from now on: vectors [V, D] of unit length. Raises QueueFull."""
        (count,) = self._rows("SELECT count(*) FROM items WHERE vectors IS NOT NULL")[0]
        if count >= MOST_NEGATIVES:
            raise QueueFull(f"There are {MOST_NEGATIVES} negatives already. Undo some of them.")
        self._decide(number, "approved", "negative", None, None)
        self.embed_negative(number, vectors, fingerprint)

    def embed_negative(self, number: int, vectors: NDArray[np.float16], fingerprint: str) -> None:
        """Replace a negative's vectors by those of the embedder in use."""
        self._write(
            "UPDATE items SET vectors = ?, fingerprint = ? WHERE id = ?",
            vectors.astype("<f2").tobytes(),
            fingerprint,
            number,
        )

    def negatives(self) -> list[tuple[int, str]]:
        """Item and fingerprint of the embedder of each negative."""
        rows: list[tuple[int, str]] = self._rows(
            "SELECT id, fingerprint FROM items WHERE vectors IS NOT NULL"
        )
        return rows

    def negative_vectors(self, dimension: int) -> list[NDArray[np.float16]]:
        """The vectors [V, dimension] of each negative."""
        rows = self._rows("SELECT vectors FROM items WHERE vectors IS NOT NULL")
        return [np.frombuffer(vectors, "<f2").reshape(-1, dimension) for (vectors,) in rows]

    def reject(self, number: int) -> None:
        self._decide(number, "rejected", None, None, None)

    def wait_again(self, number: int) -> None:
        """Undo: as it was before it was decided upon, with the product that was said last."""
        self._write(
            "UPDATE items SET state = 'waiting', kept_as = NULL, image_id = NULL,"
            " decided_at = NULL, vectors = NULL, fingerprint = NULL,"
            " product_id = (SELECT json_extract(detail, '$.product_id') FROM trail"
            " WHERE item = ?1 AND action = 'said' ORDER BY number DESC LIMIT 1) WHERE id = ?1",
            number,
        )

    def _decide(
        self,
        number: int,
        state: State,
        kept_as: Kind | None,
        product_id: str | None,
        image_id: str | None,
    ) -> None:
        self._write(
            "UPDATE items SET state = ?, kept_as = ?, image_id = ?, decided_at = ?,"
            " product_id = coalesce(?, product_id) WHERE id = ?",
            state,
            kept_as,
            image_id,
            _now(),
            product_id,
            number,
        )
        # A negative's picture stays: another embedder makes its vectors from it.
        self._write(
            "UPDATE items SET picture = NULL WHERE state != 'waiting' AND vectors IS NULL"
            " AND picture IS NOT NULL AND id != ?1 AND decided_at <= (SELECT decided_at FROM items"
            " WHERE state != 'waiting' AND vectors IS NULL ORDER BY decided_at DESC"
            " LIMIT 1 OFFSET ?2)",
            number,
            UNDOABLE,
        )

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, self._failing_clearly():
            return self._db.execute(statement, values).fetchall()

    def _write(self, statement: str, *values: Any) -> int:
        with self._lock, self._failing_clearly():
            return self._db.execute(statement, values).lastrowid or 0

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            advice = (
                "Put it back from a backup, or move it away."
                if is_damage(error)
                else "Check free space and permissions of the data folder."
            )
            raise StorageFailed(
                f"Feedback in {self._path.name} can't be read or written ({error}). {advice}"
            ) from error


def _verdict(seen: Seen, product_id: str | None) -> Verdict:
    if product_id == seen.product_id:
        return "right"
    if product_id is None:
        return "none"
    return "missed" if seen.product_id is None else "wrong"


def _item(row: tuple[Any, ...]) -> Item:
    number, request_id, result, created_at, seen, product_id, verdict = row[:7]
    state, kept_as, image_id, decided_at, undoable = row[7:]
    return Item(
        id=number,
        request_id=request_id,
        result=result,
        created_at=datetime.fromisoformat(created_at),
        seen=Seen.model_validate_json(seen),
        product_id=product_id,
        verdict=verdict,
        state=state,
        kept_as=kept_as,
        image_id=image_id,
        decided_at=None if decided_at is None else datetime.fromisoformat(decided_at),
        undoable=bool(undoable),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()
