"""Local features of references, kept in a file: what the gallery's pictures give can be made again.

Nothing is lost with the file. One that can't be read or written is told once, and done without.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np

from models.local_features import DESCRIPTOR, LocalFeatures

# About 35 kB each.
MOST_KEPT = 20_000
# Of what extracts them: features of another one are forgotten.
_VERSION = 1
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
PRAGMA user_version = {_VERSION};
CREATE TABLE IF NOT EXISTS features (
    number INTEGER PRIMARY KEY, image TEXT UNIQUE NOT NULL,
    places BLOB NOT NULL, descriptors BLOB NOT NULL
) STRICT;
"""
logger = logging.getLogger(__name__)


class KeptFeatures:
    """The features of at most MOST_KEPT images, those kept last. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; one that is damaged or of another version is made anew."""
        self._lock = Lock()
        self._path = path
        self._silent = False
        try:
            self._db = _opened(path)
        except sqlite3.Error as error:
            self._tell(error)
            self._db = _opened(Path(":memory:"))

    def get(self, image_id: str) -> LocalFeatures | None:
        """Those of an image, if they are kept."""
        try:
            with self._lock:
                row = self._db.execute(
                    "SELECT places, descriptors FROM features WHERE image = ?", (image_id,)
                ).fetchone()
        except sqlite3.Error as error:
            self._tell(error)
            return None
        if row is None:
            return None
        return LocalFeatures(
            np.frombuffer(row[0], np.float32).reshape(-1, 2),
            np.frombuffer(row[1], np.uint8).reshape(-1, DESCRIPTOR),
        )

    def has(self, image_id: str) -> bool:
        """Whether those of an image are kept."""
        try:
            with self._lock:
                found = self._db.execute("SELECT 1 FROM features WHERE image = ?", (image_id,))
                return found.fetchone() is not None
        except sqlite3.Error as error:
            self._tell(error)
            return True  # they would not be kept

    def keep(self, image_id: str, features: LocalFeatures) -> None:
        """Keep those of an image; the oldest go when there are too many."""
        row = image_id, features.places.tobytes(), features.descriptors.tobytes()
        try:
            with self._lock, self._db:
                self._db.execute(
                    "INSERT OR REPLACE INTO features (image, places, descriptors) VALUES (?, ?, ?)",
                    row,
                )
                self._db.execute(
                    "DELETE FROM features WHERE number <= (SELECT max(number) FROM features) - ?",
                    (MOST_KEPT,),
                )
        except sqlite3.Error as error:
            self._tell(error)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _tell(self, error: sqlite3.Error) -> None:
        if not self._silent:
            logger.warning("Local features can't be kept in %s (%s).", self._path, error)
            self._silent = True


def _opened(path: Path) -> sqlite3.Connection:
    with suppress(sqlite3.Error):
        db = sqlite3.connect(path, check_same_thread=False)
        if db.execute("PRAGMA user_version").fetchone()[0] in (0, _VERSION):
            db.executescript(_SCHEMA)
            return db
        db.close()
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    db = sqlite3.connect(path, check_same_thread=False)
    db.executescript(_SCHEMA)
    return db
