"""A gallery as one file, and back: the database alone, because the index is derived from it."""

from __future__ import annotations

import glob
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from gallery import store
from gallery.database import DATABASE_NAME, Database, is_damage
from gallery.durable import put_in_place
from gallery.errors import GalleryDamaged, StorageFailed, UnsupportedSchema
from gallery.lock import lock_gallery
from gallery.schema import MIGRATIONS

# Done and all, in pages of the database.
Progress = Callable[[int, int], None]

_PAGES_AT_ONCE = 4096
# A backup under way writes all the time, but for the check of its copy.
_DEAD_AFTER_SECONDS = 3600


def back_up(database: Database, path: Path, progress: Progress | None = None) -> None:
    """Write the state of this moment to `path`, while others read and write.

    The file is there as a whole, sound and readable, or not at all: what was at `path` stays then.
    Raises GalleryDamaged or StorageFailed.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with database.read() as db:
        # Fixes the state: without it every change would make the copy start again.
        db.execute("SELECT sequence FROM state").fetchone()
        try:
            _sweep(path)
            # SQLite keeps this mode; an old backup's goes with it.
            partial.touch(mode=0o600)
            with closing(_connected(partial)) as target:
                _copy_pages(db, target, progress)
                # Pages are copied as they are, damaged ones, too.
                found = _faults(target)
            if found != "ok":
                raise _damaged(found)
            put_in_place(partial, path)
        except (OSError, sqlite3.Error) as error:
            if is_damage(error):
                raise _damaged(error) from error
            raise StorageFailed(
                f"The backup could not be written to {path} ({error}). Check free space, and that "
                "the folder is there and may be written to."
            ) from error
        finally:
            with suppress(OSError):  # of a disk that takes nothing it would hide why
                partial.unlink(missing_ok=True)


def restore(
    backup: Path,
    folder: Path,
    progress: Progress | None = None,
    *,
    replacing: Callable[[], None] = lambda: None,
) -> None:
    """Make the gallery in `folder` the one of the backup.

    `replacing` is called when the backup has been checked, before anything is replaced.

    What was in it is replaced at once when the backup has been checked and copied, or, when this
    raises GalleryInUse, GalleryDamaged, UnsupportedSchema or StorageFailed, is still there.

    Revisions and versions of changes that the backup doesn't know of never come again, and whoever
    follows the changes starts anew.
    """
    partial = folder / f".{DATABASE_NAME}.{uuid.uuid4().hex}"
    with lock_gallery(folder):
        try:
            for left in folder.glob(f".{DATABASE_NAME}.*"):  # by one that was killed
                left.unlink()
            _copy(backup, partial, progress)
            replacing()
            replaced = _set_aside(folder / DATABASE_NAME)
            _start_anew(partial, replaced)
            put_in_place(partial, folder / DATABASE_NAME)
        except OSError as error:
            raise StorageFailed(
                f"The gallery in {folder} could not be replaced ({error}). Check free space and "
                "permissions."
            ) from error
        finally:
            with suppress(OSError):  # of a disk that takes nothing it would hide why
                partial.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what backups to `path` that were killed left, with SQLite's journals."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}*"):
        if time.time() - left.stat().st_mtime > _DEAD_AFTER_SECONDS:
            left.unlink()


def _copy(backup: Path, partial: Path, progress: Progress | None) -> None:
    if not backup.is_file():
        raise StorageFailed(f"There is no backup file {backup}. Check the path.")
    try:
        with (
            closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(_connected(partial)) as target,
        ):
            _copy_pages(source, target, progress)
            _check(target, backup)
    except sqlite3.Error as error:
        if is_damage(error):
            raise GalleryDamaged(
                f"{backup} is damaged or no backup of a gallery ({error}). Use another backup."
            ) from error
        raise StorageFailed(
            f"{backup} could not be read, or not be copied to {partial.parent} ({error}). Check "
            "free space and permissions; the gallery is as it was."
        ) from error


def _copy_pages(
    source: sqlite3.Connection, target: sqlite3.Connection, progress: Progress | None
) -> None:
    def report(_status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    source.backup(target, pages=_PAGES_AT_ONCE, progress=report)
    # One file, without a write-ahead log beside it.
    target.execute("PRAGMA journal_mode = DELETE")


def _check(db: sqlite3.Connection, backup: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise UnsupportedSchema(
            f"{backup} has schema version {version}, this release knows up to {len(MIGRATIONS)}. "
            "Restore it with the release that wrote it or a newer one."
        )
    found = _faults(db)
    if found != "ok":
        raise GalleryDamaged(f"{backup} is damaged ({found}). Use another backup.")
    ours = version and db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'state'").fetchone()
    if not ours or db.execute("SELECT count(*) FROM state").fetchone()[0] != 1:
        raise GalleryDamaged(f"{backup} is not a backup of a gallery. Use another file.")
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript("\n".join(MIGRATIONS[:version]))
        # Whoever could write to the file could have them do anything at the next change.
        if foreign := _programs(db) - _programs(fresh):
            names = ", ".join(sorted(repr(name) for _, name, _ in foreign))
            raise GalleryDamaged(
                f"{backup} holds what no gallery has ({names}). Use a backup that nobody has "
                "written to."
            )


def _programs(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Triggers and views: type, name and SQL."""
    return set(
        db.execute("SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view')")
    )


def _faults(db: sqlite3.Connection) -> str:
    """The first fault that SQLite finds in the file, or "ok"."""
    return str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])


def _damaged(found: object) -> GalleryDamaged:
    return GalleryDamaged(
        f"The gallery is damaged ({found}): no backup was written, and an earlier one is as it "
        "was. Restore the newest that there is."
    )


def _set_aside(database: Path) -> int:
    """Fold the old database's write-ahead log into it, so that it can't be taken for the new one's.

    Returns its sequence, 0 when there is none to be read. Raises StorageFailed when somebody reads
    it, for a backup say.
    """
    sequence = 0
    if database.exists():
        try:
            with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as old:
                old.execute("PRAGMA journal_mode = DELETE")
                sequence = old.execute("SELECT coalesce(max(sequence), 0) FROM state").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StorageFailed(
                    f"Another program is reading {database}. Wait for it or end it, then restore."
                ) from error
            # Damaged, which is why it is replaced.
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    return sequence


def _start_anew(partial: Path, replaced: int) -> None:
    """Bring the copy up to date, and beyond the sequence of the gallery that it replaces.

    Where a disk was lost nobody knows how far that had come, but hardly by more than a change a
    millisecond since it was made or restored: the time is beyond it, unless the clock is wrong.
    """
    with closing(Database(partial)) as database, database.write() as db:
        known = max(store.state(db).sequence, replaced)
        store.start_anew(db, max(known + 1, time.time_ns() // 1_000_000))


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection
