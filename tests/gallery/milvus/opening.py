"""Galleries on the Milvus server of a test run, empty at first."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gallery.milvus import MilvusGallery
from gallery.milvus.connection import Connection
from gallery.milvus.schema import KINDS, PRODUCTS
from gallery.objects import FolderObjects, Objects
from tests.gallery.samples import DIMENSION, FINGERPRINT


def emptied(url: str) -> str:
    """The gallery at `url` without what another test left in it: collections are slow to make."""
    with closing(Connection(url)) as connection:
        for kind in KINDS:
            if connection.description(kind) is not None:
                key, least = ("id", '""') if kind == PRODUCTS else ("key", "0")
                rows = connection.query(kind, f"{key} >= {least}", [key], level="Strong")
                connection.delete(kind, key, [row[key] for row in rows])
    return url


def opened(url: str, pictures: Path | Objects, dimension: int = DIMENSION) -> MilvusGallery:
    """`pictures`: the folder, or whatever store."""
    return MilvusGallery.open(
        url,
        pictures=FolderObjects(pictures) if isinstance(pictures, Path) else pictures,
        dimension=dimension,
        fingerprint=FINGERPRINT,
    )
