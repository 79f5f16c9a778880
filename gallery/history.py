"""The newest changes: for clients that keep a copy of the gallery, and for who asks what happened.

An image that is added or deleted is an entry of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from gallery.authorship import current_author
from gallery.errors import HistoryForgotten
from gallery.records import JSON, AuditedChange, Change, ChangeKind
from gallery.store import now, state

# Entries kept; one more revision may stand in part beyond them.
KEPT = 100_000

# Of an image or of the product itself: what it was before and is after, as JSON text.
Entry: TypeAlias = tuple[str | None, str | None, str | None]


def record(
    db: sqlite3.Connection,
    sequence: int,
    kind: ChangeKind,
    product_id: str,
    entries: Sequence[Entry],
) -> None:
    """Note the change `sequence` of the product, or of its images, and forget the oldest ones."""
    author = current_author()
    what = sequence, kind, product_id, now(), author.name, author.request_id
    db.executemany(
        "INSERT INTO changes (sequence, kind, product, at, author, request, image, before, after)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(*what, *entry) for entry in entries],
    )
    # Whole revisions, and never the one just written. One bound: of two SQLite takes the first and
    # looks through all that is kept.
    db.execute(
        "DELETE FROM changes WHERE sequence <= min(?,"
        " (SELECT sequence FROM changes WHERE number = (SELECT max(number) FROM changes) - ?))",
        (sequence - 1, KEPT),
    )


def after(db: sqlite3.Connection, sequence: int, limit: int) -> list[Change]:
    """The changes of the `limit` revisions after `sequence`, in their order.

    Raises HistoryForgotten when some of them are no longer kept, or there was no such revision.
    """
    current = state(db)
    first = db.execute("SELECT min(sequence) FROM changes").fetchone()[0]
    oldest = max(current.history_floor, current.sequence if first is None else first - 1)
    if not oldest <= sequence <= current.sequence:
        raise HistoryForgotten(sequence, oldest, current.sequence)
    rows = db.execute(
        "SELECT sequence, kind, product, image, at FROM changes"
        " WHERE sequence > ? AND sequence <= ? ORDER BY number",
        (sequence, sequence + limit),
    )
    return [Change(*_fields(*row)) for row in rows]


def newest(
    db: sqlite3.Connection,
    limit: int,
    *,
    below: int | None,
    product_id: str | None,
    author: str | None,
) -> tuple[list[AuditedChange], int | None]:
    """At most `limit` entries with numbers below `below`, newest first, and the next `below`.

    Of one product or author only where that is given.
    """
    rows = db.execute(
        "SELECT number, sequence, kind, product, image, at, author, request, before, after"
        " FROM changes WHERE (?1 IS NULL OR number < ?1) AND (?2 IS NULL OR product = ?2)"
        " AND (?3 IS NULL OR author = ?3) ORDER BY number DESC LIMIT ?4 + 1",
        (below, product_id, author, limit),
    ).fetchall()
    page = rows[:limit]
    found = [
        AuditedChange(*_fields(*change), name, request, _parsed(before), _parsed(after))
        for _, *change, name, request, before, after in page
    ]
    return found, page[-1][0] if len(rows) > limit else None


def _fields(
    sequence: int, kind: ChangeKind, product: str, image: str | None, at: str
) -> tuple[int, ChangeKind, str, str | None, datetime]:
    return sequence, kind, product, image, datetime.fromisoformat(at)


def _parsed(text: str | None) -> dict[str, JSON] | None:
    return None if text is None else json.loads(text)
