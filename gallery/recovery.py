"""How the index comes back: from a snapshot and what SQLite recorded after it, or from SQLite."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

from gallery import snapshot, store
from gallery.base import Base, BaseBuilder
from gallery.view import View

logger = logging.getLogger(__name__)


def opened(db: sqlite3.Connection, folder: Path) -> tuple[View, bool]:
    """The view of the database's state, and whether a snapshot in `folder` holds its base.

    From the newest snapshot that can be trusted, or, where there is none, from the database.
    """
    state, counts = store.state(db), store.counts(db)
    base = snapshot.load_newest(folder, state)
    if base is not None:
        view = replayed(View.of(base), db)
        if view.rows == counts.vectors:
            logger.info(
                "index of %d vectors opened: snapshot of revision %d, %d rows replayed",
                view.rows,
                base.sequence,
                view.pending,
            )
            return view, True
        logger.warning(
            "index has %d vectors after replay, the database %d", view.rows, counts.vectors
        )
    if not counts.vectors:
        empty = BaseBuilder(state.dimension).finish(sequence=state.sequence, last_vector=0)
        return View.of(empty), False
    logger.warning("no index snapshot can be used: the index is rebuilt from the database")
    return View.of(built(db)), False


def built(db: sqlite3.Connection) -> Base:
    """A new base of every vector in the database: exact, because a graph would take too long."""
    started = time.perf_counter()
    state = store.state(db)
    builder = BaseBuilder(state.dimension)
    last = 0
    for rows in store.vectors_after(db, last, state.dimension):
        builder.add(rows.vectors, rows.images, rows.products)
        last = rows.last
    base = builder.finish(sequence=state.sequence, last_vector=last)
    seconds = time.perf_counter() - started
    logger.info("index of %d vectors built from the database in %.1f s", len(base), seconds)
    return base


def replayed(view: View, db: sqlite3.Connection) -> View:
    """`view` with the additions and deletions that the database has recorded after it."""
    state = store.state(db)
    sequence = view.sequence
    for rows in store.vectors_after(db, view.last_vector, state.dimension):
        view = view.with_rows(rows)
    return view.without_images(store.deleted_after(db, sequence)).at(state.sequence)
