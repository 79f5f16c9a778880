"""One SQLite file: how it is opened, read, written and migrated.

WAL with synchronous=FULL: a commit is on the disk when it returns, and readers see one
consistent state while the writer works (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gallery.errors import (
    GalleryClosed,
    GalleryDamaged,
    GalleryError,
    StorageFailed,
    UnsupportedSchema,
)
from gallery.resting import Rest
from gallery.schema import MIGRATIONS

DATABASE_NAME = "gallery.sqlite3"

logger = logging.getLogger(__name__)

# Nobody else has the file open for long; a till does not wait longer for an answer.
_BUSY_SECONDS = 5.0
# SQLite's own 1000 pages are less than one batch of images: each would be written twice at once.
_CHECKPOINT_PAGES = 8192
# What the write-ahead log grew to while somebody read is given back.
_LOG_BYTES = 64 * 1024 * 1024
_CACHE_KIB = 32768


class Database:
    """The writer's connection and a pool of readers. `write` is for one thread at a time."""

    def __init__(
        self, path: Path, migrations: Sequence[str] = MIGRATIONS, *, migrate: bool = True
    ) -> None:
        """Open or create the file and bring its schema up to date, unless that is left to others.

        Raises GalleryDamaged, UnsupportedSchema or StorageFailed.
        """
        self._path = path
        self._migrations = migrations
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._damage: str | None = None
        self._rest = Rest()
        try:
            self._writer = self._connect()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        try:
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            self._writer.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            self._writer.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._version()
            self._opened = self._file()
            if migrate:
                self.migrate()
        except sqlite3.Error as error:
            self._writer.close()
            raise self._translated(error) from error
        except GalleryError:
            self._writer.close()
            raise

    def migrate(self) -> None:
        """Bring the schema up to date. Raises StorageFailed."""
        version = self._version()
        for number, script in enumerate(self._migrations[version:], start=version + 1):
            # In one transaction with its version, so that a half-made schema can't exist.
            try:
                self._writer.executescript(
                    f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
                )
            except sqlite3.Error as error:
                raise self._translated(error) from error
            finally:
                if self._writer.in_transaction:
                    self._writer.rollback()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: durable when the block ends, undone when it raises."""
        if self._closed:
            raise GalleryClosed
        self.check_in_place()
        if self._rest.lasts:
            raise self._translated(sqlite3.OperationalError("database is locked"))
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back after some errors (disk full, I/O).
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            if _code(error) == sqlite3.SQLITE_BUSY:
                # Who has waited behind this one would wait as long again.
                self._rest.begin()
            raise self._noted(self._translated(error)) from error

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent state of the database, for as long as the block lasts."""
        connection = self._borrow()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._noted(self._translated(error)) from error
        finally:
            self._give_back(connection)

    def check_sound(self) -> None:
        """Raises GalleryDamaged from the first read or write on that met damage, or StorageFailed.

        The latter as long as the file is not where it was.
        """
        if self._damage is not None:
            raise GalleryDamaged(self._damage)
        self.check_in_place()

    def check_in_place(self) -> None:
        """Raises StorageFailed where the file isn't: what is written to it, no start would find."""
        if self._file() != self._opened:
            raise StorageFailed(
                f"{self._path.name} was moved or replaced while it was in use. Stop the service, "
                "put the data folder back as it was, and start it again."
            )

    def close(self) -> None:
        """Close every connection; those still reading are closed when they have finished."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        # Last, because the last connection to close folds the write-ahead log into the file.
        self._writer.close()

    def _borrow(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise GalleryClosed
            if self._idle:
                return self._idle.pop()
        # By its path another file would be read, or an empty one be made.
        self.check_in_place()
        try:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.rollback()
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        # A connection is used by one thread at a time but not always by the same one.
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys = ON")
        # What a statement may have to undo would go to /tmp, which may be full when the disk isn't.
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def _file(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _version(self) -> int:
        newest = len(self._migrations)
        version: int = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > newest:
            raise UnsupportedSchema(
                f"{self._path} has schema version {version}, this release knows up to {newest}. "
                "Run the release that wrote it or a newer one."
            )
        if version == 0 and self._writer.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise GalleryDamaged(
                f"{self._path} is an SQLite database of another program. "
                "Move it away or choose another data folder."
            )
        return version

    def _noted(self, error: GalleryError) -> GalleryError:
        if isinstance(error, GalleryDamaged) and self._damage is None:
            self._damage = str(error)
            logger.error("%s", error)
        return error

    def _translated(self, error: sqlite3.Error) -> GalleryError:
        # Clients read it, too: they need not know where on this machine the file is.
        if is_damage(error):
            return GalleryDamaged(
                f"{self._path.name} is damaged or not an SQLite database ({error}). "
                "Restore it from a backup, or move it away to start with an empty gallery."
            )
        return StorageFailed(
            f"{self._path.name} could not be read or written ({error}). "
            "Check free space and permissions, and that no other program holds the file."
        )


def is_damage(error: Exception) -> bool:
    """Whether the file is at fault, rather than the disk, its permissions or who else holds it."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
