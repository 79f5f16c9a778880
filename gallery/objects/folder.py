"""Pictures in a folder: on this machine, or on a file system that all replicas mount."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

from gallery.durable import put_in_place
from gallery.errors import GalleryDamaged, StorageFailed
from gallery.objects.base import Objects, place_of


class FolderObjects(Objects):
    """A file for each picture, on the disk before it is told to be there."""

    def __init__(self, folder: Path) -> None:
        """It need not be there yet."""
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def check(self) -> None:
        """Raises StorageFailed when the folder can't be made."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"The folder {self._folder} can't be made ({error}).") from error

    def _write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        if path.is_file():
            return
        partial = path.with_name(f".{key}.{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(exist_ok=True)
            partial.write_bytes(data)
            put_in_place(partial, path)
        except OSError as error:
            raise StorageFailed(
                f"A picture could not be written to {self._folder} ({error}). Check free space, "
                "and that the folder may be written to."
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink()

    def _read(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise GalleryDamaged(
                f"The picture {key} can't be read from {self._folder} ({error}). Check that all "
                "replicas use the same folder, or restore it from a backup."
            ) from error

    def delete(self, key: str) -> None:
        """Raises StorageFailed."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailed(f"A picture could not be deleted ({error}).") from error

    def _path(self, key: str) -> Path:
        return self._folder / place_of(key)
