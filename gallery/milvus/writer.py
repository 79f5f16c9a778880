"""One change after another, each kept whole: the order of writes, and what follows a failure."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from gallery.errors import GalleryUnavailable, StorageFailed
from gallery.milvus import reference_rows
from gallery.milvus.connection import Connection, Level, Row, one_of
from gallery.milvus.draft import Draft
from gallery.milvus.log import Claim, Entry, Head, Log
from gallery.milvus.schema import KINDS, PRODUCTS, REFERENCES
from gallery.objects import Objects

logger = logging.getLogger(__name__)
T = TypeVar("T")

# A claim holds once it has been there for so long without any change: whoever wrote before has
# finished by then what it had begun, and sees the claim before it begins again.
_STILL_SECONDS = 1.0
# Whoever takes so long to draft a change looks again whether it is still the one that writes.
_SLOW_SECONDS = 0.5
# A younger one is left alone, so that whoever made it comes to write.
_YOUNG_SECONDS = 3.0
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
        self._name = uuid.uuid4().hex
        # The revision up to which this process knows that all is done; none to begin with.
        self._settled: int | None = None
        self._broken = False
        # Whether a claim of this process has come to hold, which it does until another is made.
        self._held = False

    def change(self, edit: Callable[[Draft], T]) -> T:
        """Make the change that `edit` drafts, while nobody else in this process changes anything.

        Where another process, or a failure, was last, its change is completed or taken back first.
        When this raises GalleryUnavailable the change may yet hold: the next one finds out.
        """
        with self._lock:
            if not self._writes() or self._log.head.revision != self._settled:
                self._take_over()
            begun = time.monotonic()
            draft = Draft(self._connection, self._log.head)
            answer = edit(draft)
            # Pictures may have been slow: another one's claim may have come to hold meanwhile.
            if time.monotonic() > begun + _SLOW_SECONDS and not self._writes():
                raise GalleryUnavailable
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
            if self._broken and self._writes():
                self._take_over()
            # Otherwise somebody else writes, and has done it.
            self._broken = False

    def _take_over(self) -> None:
        self._settled = None
        self._connection.catch_up(KINDS)
        self._become_writer()
        head = self._log.head
        reference_rows.delete(self._connection, f"revision > {head.revision}", "Strong")
        self._settle(head, self._log.entries(head.revision), "Strong")

    def _writes(self) -> bool:
        """Whether this process is the one that writes. The log's head is the newest then."""
        claim = self._log.writer()
        return claim is not None and claim.who == self._name

    def _become_writer(self) -> None:
        """Returns when no other process changes anything. Raises GalleryUnavailable if they go on.

        The proxy sends writes to one at a time, but for the moments in which it turns to another.
        """
        if self._held and self._writes():
            return
        self._held = False
        start = since = time.monotonic()
        seen: tuple[Claim | None, int] | None = None
        while True:
            claim = self._log.writer()
            revision = self._log.head.revision
            if seen != (claim, revision):
                seen, since = (claim, revision), time.monotonic()
            ours = claim is not None and claim.who == self._name
            if ours and self._is_still(since, revision):
                self._held = True
                return
            if not ours and (claim is None or _age(claim) >= _YOUNG_SECONDS):
                self._log.claim(self._name)
            elif time.monotonic() > start + _LONGEST_WAIT_SECONDS:
                logger.warning("Other replicas go on writing: is each write sent to one only?")
                raise GalleryUnavailable
            else:
                time.sleep(_POLL_SECONDS)

    def _is_still(self, since: float, revision: int) -> bool:
        passed = time.monotonic() - since
        if passed < _STILL_SECONDS:
            return False
        return passed >= _CUT_OFF_SECONDS or not self._in_the_making(revision)

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


def _age(claim: Claim) -> float:
    """Seconds, by this machine's clock: only good manners depend on it."""
    made = datetime.fromisoformat(claim.at)
    return abs((datetime.now(UTC) - made).total_seconds())
