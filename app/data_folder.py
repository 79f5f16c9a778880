"""One process at a time owns a data folder, and tells the others where it listens."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO


class DataFolderInUse(Exception):
    """Another process serves this data folder."""


class DataFolder:
    """A locked data folder: gallery, packs, and the lock file that names its service."""

    def __init__(self, path: Path) -> None:
        """Create the folder if need be, and lock it.

        Raises:
            DataFolderInUse: another service holds it.
            OSError: it can't be created or written.
        """
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock: IO[str] = (path / "service.lock").open("a+", encoding="utf-8")
        try:
            # The kernel drops the lock with the process, however it ends.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise DataFolderInUse(
                f"Another TillSight already serves the data folder {path.resolve()}"
                f"{_at(serving_url(path))}. Stop it first, or choose another folder with "
                "TILLSIGHT_DATA_DIR."
            ) from None
        self.announce(None)

    def announce(self, url: str | None) -> None:
        """Write down where the service listens, for the command line to find."""
        self._lock.seek(0)
        self._lock.truncate()
        json.dump({"pid": os.getpid(), "url": url}, self._lock)
        self._lock.flush()

    def close(self) -> None:
        self.announce(None)
        self._lock.close()


def serving_url(path: Path) -> str | None:
    """The address of the service that holds this data folder now, if one does."""
    try:
        with (path / "service.lock").open("r+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                url = json.load(lock)["url"]
                return str(url) if url else None
    except (OSError, ValueError, KeyError):
        # No lock file, or its owner is just writing it.
        return None
    return None


def _at(url: str | None) -> str:
    return f" at {url}" if url else ""
