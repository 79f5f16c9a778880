"""Pictures in a bucket of a server that speaks S3."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from gallery.errors import GalleryDamaged, GalleryUnavailable, StorageFailed
from gallery.objects.base import Objects, place_of
from gallery.resting import Rest

logger = logging.getLogger(__name__)
T = TypeVar("T")

_CONNECT_SECONDS = 2
# For a call with what is tried again: twice, when the server answers that it is busy or failing.
_SECONDS = 5
_RETRIES = 2
_PROBE = b"TillSight keeps pictures here."


class BucketObjects(Objects):
    """An object for each picture; what a PUT acknowledged is there.

    Where and as whom is said by the usual variables of the environment (AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL and the others that Amazon's tools know).
    """

    def __init__(self, location: str) -> None:
        """`location`: `s3://bucket[/prefix]`. Nothing is asked of the server yet."""
        parts = urlsplit(location)
        self._location = location
        self._rest = Rest()
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                # Where it is http it is the operator's endpoint that says so.
                "allow_http": True,
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=_SECONDS),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_SECONDS),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=1),
                    "base": 2,
                },
            },
        )

    def __str__(self) -> str:
        return self._location

    def check(self) -> None:
        """Write something; a server that is away may come. Raises StorageFailed."""
        try:
            self.put_all([_PROBE])
        except GalleryUnavailable:
            logger.warning(
                "Pictures can be neither kept nor shown until %s answers. Are AWS_ENDPOINT_URL, "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as they should be?",
                self,
            )

    def _write(self, key: str, data: bytes) -> None:
        # Though it be there: one request instead of two, and what was damaged is mended.
        try:
            self._asked(lambda: obstore.put(self._store, place_of(key), data))
        except FileNotFoundError as error:
            raise StorageFailed(
                f"There is no bucket for {self} on the S3 server. Make it, or check the name and "
                "AWS_ENDPOINT_URL."
            ) from error

    def _read(self, key: str) -> bytes:
        try:
            return self._asked(lambda: obstore.get(self._store, place_of(key)).bytes().to_bytes())
        except FileNotFoundError as error:
            raise GalleryDamaged(
                f"The picture {key} is not in {self}. Check that all replicas use the same bucket, "
                "or restore it from a backup."
            ) from error

    def delete(self, key: str) -> None:
        """Raises StorageFailed or GalleryUnavailable."""
        self._asked(lambda: obstore.delete(self._store, place_of(key)))

    def _asked(self, call: Callable[[], T]) -> T:
        """Raises FileNotFoundError, StorageFailed or GalleryUnavailable."""
        if self._rest.lasts:
            raise GalleryUnavailable("holds the pictures")
        try:
            return call()
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StorageFailed(
                f"The S3 server refuses what is asked of {self}. Check AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, and that they may get, put and delete objects there."
            ) from error
        except BaseError as error:
            self._rest.begin()
            # Below its first line it tells all that it knows, the request among it.
            logger.warning("The S3 server of %s: %s", self, str(error).partition("\n")[0])
            raise GalleryUnavailable("holds the pictures") from error
