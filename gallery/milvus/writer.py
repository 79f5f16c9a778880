"""One change after another, each kept whole: the order of writes, and what follows a failure."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gallery.errors import GalleryUnavailable, StorageFailed
from gallery.milvus import reference_rows
from gallery.milvus.connection import Connection, Level, Row, one_of
from gallery.milvus.draft import Draft
from gallery.milvus.log import Entry, Head, Log
from gallery.milvus.schema import KINDS, PRODUCTS, REFERENCES
from gallery.objects import Objects

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Whoever takes over waits until nobody has changed anything for so long: the one before finishes
# what it was sent.
_STILL_SECONDS = 1.0
# Of a change that is seen in the making: after so long it was cut off.
_CUT_OFF_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 20.0
_POLL_SECONDS = 0.1


class Writer:
    """Makes changes on behalf of all threads of this process. See the package for the order."""

    def __init__(self, connection: Connection, log: Log, pictures: Objects) -> None:
        self._connection = connection
        self._log = log
        self._pictures = pictures
        self._lock = threading.Lock()
        # The revision up to which this process knows that all is done; none to begin with.
        self._settled: int | None = None
        self._broken = False

    def change(self, edit: Callable[[Draft], T]) -> T:
        """Make the change that `edit` drafts, while nobody else in this process changes anything.

        Where another process, or a failure, was last, its change is completed or taken back first.
        When this raises GalleryUnavailable the change may yet hold: the next one finds out.
        """
        with self._lock:
            # Strong: a replica that wrote a moment ago is not overlooked. It costs no more than
            # the wait for what this one wrote itself.
            if self._log.refresh("Strong").revision != self._settled:
                self._take_over()
            draft = Draft(self._connection, self._log.head)
            answer = edit(draft)
            if draft.entries:
                self._commit(draft)
        return answer

    def _commit(self, draft: Draft) -> None:
        entries = draft.logged()
        self._settled, self._broken = None, True
        self._connection.insert(REFERENCES, draft.rows)
        self._log.append(draft.head, entries)
        self._settle(draft.head, entries, "Session")
        self._drop_pictures(draft.gone)

    def mend(self) -> None:
        """Complete or take back a change of this process that was cut off, if one was."""
        if not self._broken:
            return
        with self._lock:
            # One that was under way is done by now.
            if self._broken:
                self._log.refresh("Strong")
                self._take_over()

    def _take_over(self) -> None:
        self._settled = None
        self._connection.catch_up(KINDS)
        if not self._broken:
            self._let_finish()
        head = self._log.head
        reference_rows.delete(self._connection, f"revision > {head.revision}", "Strong")
        self._settle(head, self._log.entries(head.revision), "Strong")

    def _let_finish(self) -> None:
        """Wait for what another process may be changing. Raises GalleryUnavailable if it goes on.

        It narrows what the proxy leaves open when it sends writes elsewhere, and is no lock.
        """
        start = since = time.monotonic()
        revision = self._log.head.revision
        while revision and (
            time.monotonic() < since + _STILL_SECONDS
            or (time.monotonic() < since + _CUT_OFF_SECONDS and self._in_the_making(revision))
        ):
            if time.monotonic() > start + _LONGEST_WAIT_SECONDS:
                logger.warning("Another replica goes on writing: is each write sent to one only?")
                raise GalleryUnavailable
            time.sleep(_POLL_SECONDS)
            now = self._log.refresh("Strong").revision
            if now != revision:
                revision, since = now, time.monotonic()

    def _in_the_making(self, revision: int) -> bool:
        where = f"revision > {revision}"
        return bool(self._connection.query(REFERENCES, where, ("key",), limit=1, level="Strong"))

    def _settle(self, head: Head, entries: Sequence[Entry], level: Level) -> None:
        """Do what is in the log; doing it again changes nothing."""
        kept = {entry.product.id: entry.product for entry in entries if entry.product}
        self._connection.upsert(PRODUCTS, [product.row() for product in kept.values()])
        gone = [entry.product_id for entry in entries if entry.kind == "delete product"]
        self._connection.delete(PRODUCTS, "id", gone)
        stale = gone + [entry.product_id for entry in entries if entry.relabels]
        images = [entry.image_id for entry in entries if entry.kind == "delete image"]
        for field, values in (("product_id", stale), ("image_id", images)):
            if values:
                where = f"{one_of(field, values)} and revision < {head.revision}"
                reference_rows.delete(self._connection, where, level)
        self._log.settled(head)
        self._settled, self._broken = head.revision, False

    def _drop_pictures(self, gone: Sequence[Row]) -> None:
        """Delete the pictures of deleted images, but for those that others show as well.

        The change holds by now: where this fails, a picture is left that nobody refers to.
        """
        hashes = {row["thumbnail"] for row in gone}
        try:
            left = reference_rows.having(self._connection, "thumbnail", hashes, "part == 0")
            for key in hashes - {row["thumbnail"] for row in left}:
                self._pictures.delete(key)
        except (GalleryUnavailable, StorageFailed) as error:
            logger.warning("Pictures of deleted images are left: %s", error)
