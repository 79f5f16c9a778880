"""One process at a time owns a data folder, and tells the others where it listens."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from gallery.lock import locked


class DataFolderInUse(Exception):
    """Another process serves this data folder."""


class DataFolderUnusable(Exception):
    """The data folder can't be made or written."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the service of a data folder listens, and the key that commands present to it."""

    url: str
    key: str


class DataFolder:
    """A locked data folder: gallery, packs, and the lock file that names its service."""

    def __init__(self, path: Path) -> None:
        """Create the folder if need be, and lock it.

        Raises:
            DataFolderInUse: another service holds it.
            DataFolderUnusable: it can't be created or written.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = locked(path / "service.lock")
            # It holds a key: for the owner of the folder only.
            os.fchmod(self._lock.fileno(), 0o600)
        except BlockingIOError:
            raise DataFolderInUse(
                f"Another TillSight already serves the data folder {path.resolve()}"
                f"{_at(serving(path))}. Stop it first, or choose another folder with "
                "TILLSIGHT_DATA_DIR."
            ) from None
        except OSError as error:
            raise DataFolderUnusable(
                f"The data folder {path.resolve()} can't be written ({error.strerror}). Check its "
                "owner and permissions, or choose another with TILLSIGHT_DATA_DIR."
            ) from error
        self.announce(None)

    def announce(self, serving: Serving | None) -> None:
        """Write down where the service listens, for the command line to find."""
        content = {"pid": os.getpid()} | ({} if serving is None else asdict(serving))
        self._lock.seek(0)
        self._lock.truncate()
        json.dump(content, self._lock)
        self._lock.flush()

    def close(self) -> None:
        self.announce(None)
        self._lock.close()


def serving(path: Path) -> Serving | None:
    """How to reach the service that holds this data folder now, if one does."""
    try:
        with (path / "service.lock").open("r+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                content = json.load(lock)
                return Serving(content["url"], content["key"])
    except (OSError, ValueError, KeyError):
        # No lock file, or its owner is starting or just writing it.
        return None
    return None


def _at(service: Serving | None) -> str:
    return f" at {service.url}" if service else ""
