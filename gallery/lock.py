"""One process at a time: a file that is locked for as long as it is open."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from gallery.errors import GalleryInUse, StorageFailed


def locked(path: Path) -> IO[str]:
    """The file at `path`, made if need be, for whoever opens it first until it is closed.

    The kernel drops the lock with the process, however it ends, and programs that the process
    starts don't inherit it (PEP 446). Raises BlockingIOError while another has it, and OSError.
    """
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def lock_gallery(folder: Path) -> IO[str]:
    """Make the gallery's `folder` if need be and keep others out of it, until this is closed.

    A new one is for its owner only. Those who only read the database, a backup say, need no lock.
    Raises GalleryInUse or StorageFailed.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return locked(folder / "gallery.lock")
    except BlockingIOError:
        raise GalleryInUse(
            f"Another process has the gallery in {folder.resolve()} open. Stop it first, or take "
            "another gallery."
        ) from None
    except OSError as error:
        raise StorageFailed(
            f"The gallery's folder {folder} can't be made or written to ({error}). Check its owner "
            "and permissions."
        ) from error
