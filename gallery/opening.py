"""The one place that opens a gallery, wherever its URL says that it is.

`sqlite:///folder` is a folder of this machine; `http://[user:password@]host:port[/name]` is a
gallery on a Milvus server, whose pictures are elsewhere: in a folder, or in `s3://bucket[/prefix]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gallery.contents import SQLiteContents
from gallery.database import DATABASE_NAME, Database
from gallery.errors import GalleryError, InvalidValue, StorageFailed, UnsupportedSchema
from gallery.gallery import Gallery
from gallery.objects import FolderObjects, Objects
from gallery.protocol import Contents, GalleryProtocol
from gallery.schema import MIGRATIONS

if TYPE_CHECKING:
    from gallery.milvus import MilvusGallery

_FOLDER = "sqlite:///"
_SERVER = ("http://", "https://")
_BUCKET = "s3://"


class MissingExtra(GalleryError):
    """What a gallery on servers needs isn't installed."""


def masked(text: str) -> str:
    """For messages: a URL without user and password. A wrong one may hold more than one @."""
    return re.sub("://.*@", "://***@", text)


def checked_url(url: str) -> str:
    """Raises InvalidValue when there can be no gallery there."""
    if not _names_folder(url) and not _names_server(url):
        raise InvalidValue(
            f"{masked(url)!r} is no gallery: give sqlite:///folder, or http://host:19530 of a "
            "Milvus server."
        )
    return url


def _names_folder(url: str) -> bool:
    return url.startswith(_FOLDER) and url != _FOLDER


def _names_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # An @ there ends a password that is not encoded.
        named = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path
        return url.startswith(_SERVER) and named
    except ValueError:  # no port, or no address in brackets
        return False


def checked_place(pictures: str) -> str:
    """Raises InvalidValue when no pictures can be there."""
    if pictures.startswith(_BUCKET):
        if not re.fullmatch(r"s3://[^/?#@]+(/[^?#]*)?", pictures):
            raise InvalidValue(
                f"{masked(pictures)!r} is no bucket: give s3://bucket or s3://bucket/prefix, and "
                "where the server is as AWS_ENDPOINT_URL."
            )
    elif "://" in pictures:
        raise InvalidValue(
            f"{masked(pictures)!r} is no place for pictures: give a folder or s3://bucket."
        )
    return pictures


def open_gallery(url: str, *, pictures: str, dimension: int, fingerprint: str) -> GalleryProtocol:
    """Open or create the gallery for vectors [D = dimension] of one embedder.

    `pictures`: where those of a gallery on a server are. Raises GalleryError.
    """
    if folder := folder_of(url):
        return Gallery.open(folder, dimension=dimension, fingerprint=fingerprint)
    return _milvus().open(
        url, pictures=_objects(pictures), dimension=dimension, fingerprint=fingerprint
    )


@contextmanager
def read_contents(url: str, *, pictures: str) -> Iterator[Contents]:
    """What a gallery holds, though a service has it open. Raises GalleryError."""
    if not (folder := folder_of(url)):
        gallery = _milvus().existing(url, pictures=_objects(pictures))
        with gallery, gallery.contents() as held:
            yield held
        return
    if not (folder / DATABASE_NAME).is_file():
        raise StorageFailed(f"There is no gallery in {folder}. Check the path.")
    # A service of an older release may have it open: what only reads changes no schema.
    opened = Database(folder / DATABASE_NAME, migrate=False)
    with closing(opened) as database, database.read() as db:
        if db.execute("PRAGMA user_version").fetchone()[0] != len(MIGRATIONS):
            raise UnsupportedSchema(
                f"The gallery in {folder} was written by an older release. Start this release on "
                "it once, or use the one that wrote it."
            )
        yield SQLiteContents(db)


def folder_of(url: str) -> Path | None:
    """The folder of a gallery on this machine; None of one on a server. Raises InvalidValue."""
    checked_url(url)
    return Path(url.removeprefix(_FOLDER)) if url.startswith(_FOLDER) else None


_INSTALL = ".venv/bin/pip install --require-hashes -r requirements-extras.lock"


def _milvus() -> type[MilvusGallery]:
    try:
        # Only here: who keeps the gallery on one machine need not have it.
        from gallery.milvus import MilvusGallery
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"A gallery on Milvus needs its client: {_INSTALL} ({error})."
        ) from error
    return MilvusGallery


def _objects(pictures: str) -> Objects:
    if not checked_place(pictures).startswith(_BUCKET):
        return FolderObjects(Path(pictures))
    try:
        from gallery.objects.bucket import BucketObjects
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Pictures on an S3 server need its client: {_INSTALL} ({error})."
        ) from error
    return BucketObjects(pictures)
