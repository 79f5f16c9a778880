"""The changes of the newest revisions, for clients that keep a copy of the gallery's products."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from gallery.errors import HistoryForgotten
from gallery.records import Change, ChangeKind
from gallery.store import now, state

# Entries kept; one more revision may stand in part beyond them.
KEPT = 10_000


def record(
    db: sqlite3.Connection,
    sequence: int,
    kind: ChangeKind,
    product_id: str,
    images: Sequence[str] = (),
) -> None:
    """Note the change `sequence` of the product, or of its images, and forget the oldest ones."""
    at = now()
    db.executemany(
        "INSERT INTO changes (sequence, kind, product, image, at) VALUES (?, ?, ?, ?, ?)",
        [(sequence, kind, product_id, image, at) for image in (images or (None,))],
    )
    # Whole revisions, and never the one just written.
    db.execute(
        "DELETE FROM changes WHERE sequence < ? AND sequence <="
        " (SELECT sequence FROM changes WHERE number = (SELECT max(number) FROM changes) - ?)",
        (sequence, KEPT),
    )


def after(db: sqlite3.Connection, sequence: int, limit: int) -> list[Change]:
    """The changes of the `limit` revisions after `sequence`, in their order.

    Raises HistoryForgotten when some of them are no longer kept.
    """
    first = db.execute("SELECT min(sequence) FROM changes").fetchone()[0]
    oldest = state(db).sequence if first is None else first - 1
    if sequence < oldest:
        raise HistoryForgotten(sequence, oldest)
    rows = db.execute(
        "SELECT sequence, kind, product, image, at FROM changes"
        " WHERE sequence > ? AND sequence <= ? ORDER BY number",
        (sequence, sequence + limit),
    )
    return [
        Change(number, kind, product, image, datetime.fromisoformat(at))
        for number, kind, product, image, at in rows
    ]
