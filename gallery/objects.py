"""Pictures by the hash of their bytes, outside the database: a folder that replicas share.

An object is written once under a name that follows from what it holds, so writing it again, by
whomever, changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from gallery.errors import GalleryDamaged, StorageFailed
from gallery.snapshot import flush

_AT_ONCE = 16


class Objects:
    """The objects in a folder: on this machine, or on a file system that all replicas mount."""

    def __init__(self, folder: Path) -> None:
        """Raises StorageFailed when the folder can't be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"The folder {folder} can't be made ({error}).") from error
        self._folder = folder

    def put_all(self, pictures: Sequence[bytes]) -> list[str]:
        """Keep them, on the disk when this returns; their SHA-256. Raises StorageFailed."""
        if len(pictures) == 1:
            return [self._put(pictures[0])]
        # A disk takes many at once nearly as fast as one.
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(self._put, pictures))

    def _put(self, data: bytes) -> str:
        key = sha256(data).hexdigest()
        path = self._path(key)
        if path.is_file():
            return key
        partial = path.with_name(f".{key}.{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(exist_ok=True)
            partial.write_bytes(data)
            flush(partial)
            partial.replace(path)
            flush(path.parent)
        except OSError as error:
            raise StorageFailed(
                f"A picture could not be written to {self._folder} ({error}). Check free space, "
                "and that the folder may be written to."
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink()
        return key

    def get(self, key: str) -> bytes:
        """The bytes. Raises GalleryDamaged when they are not there or not those that were put."""
        try:
            data = self._path(key).read_bytes()
        except OSError as error:
            raise GalleryDamaged(
                f"The picture {key} can't be read from {self._folder} ({error}). Check that all "
                "replicas use the same folder, or restore it from a backup."
            ) from error
        if sha256(data).hexdigest() != key:
            raise GalleryDamaged(f"The picture {key} in {self._folder} is damaged. Restore it.")
        return data

    def delete(self, key: str) -> None:
        """One that isn't there is deleted. Raises StorageFailed."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailed(f"A picture could not be deleted ({error}).") from error

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key
