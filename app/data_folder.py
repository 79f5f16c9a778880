"""One process at a time owns a data folder, and tells the others where it listens."""

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from gallery.lock import locked

# Half a second of them; each look at the lock takes a moment.
_LOOKS = 10


class StartError(Exception):
    """The service could not start; the message says why."""


class DataFolderInUse(StartError):
    """Another process serves this data folder, or a command works on it."""


class DataFolderUnusable(StartError):
    """The data folder can't be made or written."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the service of a data folder listens, and the key that commands present to it."""

    url: str
    key: str


def make(path: Path) -> None:
    """Make a data folder, for its owner only; one that is there stays as it is. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


class DataFolder:
    """A locked data folder: gallery, packs, and the lock file that names its service."""

    def __init__(self, path: Path) -> None:
        """Create the folder if need be, and lock it.

        Raises:
            DataFolderInUse: another process holds it.
            DataFolderUnusable: it can't be created or written.
        """
        self.path = path
        try:
            make(path)
            self._lock = _locked(path / "service.lock")
            # It holds a key: for the owner of the folder only.
            os.fchmod(self._lock.fileno(), 0o600)
            self._write({})
        except BlockingIOError:
            service = serving(path)
            raise DataFolderInUse(
                f"Another TillSight already serves the data folder {path.resolve()} at "
                f"{service.url}. Stop it first, or choose another folder with TILLSIGHT_DATA_DIR."
                if service
                else f"A command or a service that starts is using the data folder "
                f"{path.resolve()}. Try again when it is ready, or choose another folder with "
                "TILLSIGHT_DATA_DIR."
            ) from None
        except OSError as error:
            raise self._unusable(error) from error

    def announce(self, serving: Serving) -> None:
        """Write down where the service listens, for the command line to find.

        Raises DataFolderUnusable.
        """
        try:
            self._write(asdict(serving))
        except OSError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        with suppress(OSError):  # who finds it unlocked doesn't read on
            self._write({})
        self._lock.close()

    def _write(self, content: dict[str, str]) -> None:
        # Not through a buffer, which would try again when it is closed.
        os.ftruncate(self._lock.fileno(), 0)
        os.write(self._lock.fileno(), json.dumps({"pid": os.getpid()} | content).encode())

    def _unusable(self, error: OSError) -> DataFolderUnusable:
        return DataFolderUnusable(
            f"The data folder {self.path.resolve()} can't be written ({error.strerror}). Check "
            "free space, owner and permissions, or choose another with TILLSIGHT_DATA_DIR."
        )


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


def _locked(path: Path) -> IO[str]:
    """As `locked`, but whoever only looks for the service (`serving`) is waited for."""
    for _ in range(_LOOKS):
        with suppress(BlockingIOError):
            return locked(path)
        time.sleep(0.05)
    return locked(path)
