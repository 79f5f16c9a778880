"""The state row and what the index replays, in SQLite.

Functions take the connection of a transaction (`Database.read` or `Database.write`). Products and
images have an id for clients and a number for the index; numbers ascend and are never reused.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from gallery.errors import FingerprintMismatch, GalleryDamaged

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class State:
    """Which gallery this is, whose vectors it holds and how many changes it has seen.

    `replay_floor`: an index older than this sequence can't be brought up to date by replay.
    `history_floor`: neither can a client's copy, by the changes after it.
    """

    gallery: str
    fingerprint: str
    dimension: int
    sequence: int
    replay_floor: int
    history_floor: int


@dataclass(frozen=True, slots=True, eq=False)
class VectorRows:
    """Rows of the index: vectors float16 [n, D], their image and product numbers int64 [n].

    `last` is the number of the last vector, from which reading can go on.
    """

    vectors: NDArray[np.float16]
    images: NDArray[np.int64]
    products: NDArray[np.int64]
    last: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are; `pictured` are the products that have images."""

    products: int
    images: int
    vectors: int
    pictured: int


def check_embedder(db: sqlite3.Connection, fingerprint: str, dimension: int) -> None:
    """Raises FingerprintMismatch if the gallery holds another embedder's vectors.

    Of a schema of any version: what is refused, an older release may go on with.
    """
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        return
    stored = db.execute("SELECT fingerprint, dimension FROM state").fetchone()
    if stored is None:
        raise GalleryDamaged("The database has lost its state row. Restore it from a backup.")
    if stored == (fingerprint, dimension):
        return
    if db.execute("SELECT 1 FROM vectors LIMIT 1").fetchone():
        raise FingerprintMismatch(
            f"The gallery holds vectors of the embedder {stored[0]} ({stored[1]}-d), the one "
            f"loaded now is {fingerprint} ({dimension}-d), and their vectors can't be compared. "
            "Start with the pack the gallery was made with, have its vectors made again by this "
            "one (`tillsight gallery reembed`), or choose another data folder."
        )


def adopt(db: sqlite3.Connection, fingerprint: str, dimension: int) -> None:
    """Make the gallery this embedder's, which `check_embedder` has let pass.

    It writes only what differs, so that a full disk is no obstacle; SQLite refuses it all the same
    where the file may not be written at all.
    """
    db.execute(
        "UPDATE state SET fingerprint = ?1, dimension = ?2"
        " WHERE fingerprint IS NOT ?1 OR dimension IS NOT ?2",
        (fingerprint, dimension),
    )


def state(db: sqlite3.Connection) -> State:
    row = db.execute(
        "SELECT gallery, fingerprint, dimension, sequence, replay_floor, history_floor FROM state"
    ).fetchone()
    return State(*row)


def advance(db: sqlite3.Connection) -> int:
    """Count one more change and return its number."""
    row = db.execute("UPDATE state SET sequence = sequence + 1 RETURNING sequence").fetchone()
    return int(row[0])


def start_anew(db: sqlite3.Connection, sequence: int) -> None:
    """Be another gallery from `sequence` on, which is beyond any that was told of before.

    Index snapshots of what it was, and of what became of that, are not this one's any more, and
    clients' copies can't be brought up to date.
    """
    db.execute(
        "UPDATE state SET gallery = ?, sequence = ?, history_floor = ?",
        (uuid.uuid4().hex, sequence, sequence),
    )


def counts(db: sqlite3.Connection) -> Counts:
    row = db.execute("SELECT products, images, vectors, pictured FROM counts").fetchone()
    return Counts(*row)


def vectors_after(db: sqlite3.Connection, last: int, dimension: int) -> Iterator[VectorRows]:
    """The vectors with numbers above `last`, in their order, some thousands at a time."""
    cursor = db.execute(
        "SELECT vectors.number, image, product, vector"
        " FROM vectors JOIN images ON images.number = vectors.image"
        " WHERE vectors.number > ? ORDER BY vectors.number",
        (last,),
    )
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        numbers, images, products, blobs = zip(*rows, strict=True)
        yield VectorRows(
            decoded(blobs, dimension, f"after number {numbers[0]}"),
            np.array(images, dtype=np.int64),
            np.array(products, dtype=np.int64),
            int(numbers[-1]),
        )


def decoded(blobs: Sequence[bytes], dimension: int, where: str) -> NDArray[np.float16]:
    """Vectors [n, D] as they are stored. Raises GalleryDamaged, which says `where`."""
    data = b"".join(blobs)
    if len(data) != len(blobs) * dimension * 2:
        raise GalleryDamaged(
            f"A stored vector {where} doesn't have {dimension} dimensions. "
            "Restore the database from a backup."
        )
    vectors = np.frombuffer(data, dtype="<f2").astype(np.float16, copy=False)
    return vectors.reshape(len(blobs), dimension)


def deleted_after(db: sqlite3.Connection, sequence: int) -> NDArray[np.int64]:
    """Numbers [n] of the images deleted by the changes after `sequence`."""
    rows = db.execute("SELECT image FROM deletions WHERE sequence > ?", (sequence,)).fetchall()
    return np.array(rows, dtype=np.int64).reshape(-1)


def forget_deletions(db: sqlite3.Connection, sequence: int) -> None:
    """Drop the deletions up to `sequence`: no index older than that will be replayed any more."""
    db.execute("DELETE FROM deletions WHERE sequence <= ?", (sequence,))
    db.execute("UPDATE state SET replay_floor = max(replay_floor, ?)", (sequence,))


def last_number(db: sqlite3.Connection, table: str) -> int:
    """The greatest number that a row of the table ever had."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 0 if row is None else int(row[0])


def now() -> str:
    """The time as it is stored: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat()
