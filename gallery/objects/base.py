"""What keeps pictures, wherever: a key and bytes at a time is all that a kind of store adds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TypeVar

from gallery.errors import GalleryDamaged

S = TypeVar("S")
T = TypeVar("T")

# A disk, and a server even more so, takes many at once nearly as fast as one.
_AT_ONCE = 16


class Objects(ABC):
    """Pictures by their SHA-256. Thread-safe.

    Every call raises StorageFailed when the store refuses, GalleryUnavailable when it is on a
    server that doesn't answer.
    """

    @abstractmethod
    def check(self) -> None:
        """Have it ready to be written to. Raises StorageFailed when that can't be."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """One that isn't there is deleted."""

    @abstractmethod
    def _write(self, key: str, data: bytes) -> None:
        """All of it is there, and stays, when this returns; nothing of it otherwise."""

    @abstractmethod
    def _read(self, key: str) -> bytes:
        """Raises GalleryDamaged when it is not there."""

    def put_all(self, pictures: Sequence[bytes]) -> list[str]:
        """Keep them for good; their keys."""
        return _at_once(self._put, pictures)

    def get(self, key: str) -> bytes:
        """The bytes. Raises GalleryDamaged when they are not there or not those that were put."""
        data = self._read(key)
        if sha256(data).hexdigest() != key:
            raise GalleryDamaged(f"The picture {key} in {self} is damaged. Restore it.")
        return data

    def get_all(self, keys: Sequence[str]) -> list[bytes]:
        """As `get`, in their order."""
        return _at_once(self.get, keys)

    def _put(self, data: bytes) -> str:
        key = sha256(data).hexdigest()
        self._write(key, data)
        return key


def place_of(key: str) -> str:
    """Where an object is in its store; folders of a few hundred thousand files are slow."""
    return f"{key[:2]}/{key}"


def _at_once(call: Callable[[S], T], items: Sequence[S]) -> list[T]:
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as threads:
        return list(threads.map(call, items))
