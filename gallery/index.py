"""The index while it serves: the current view, the changes to it, and what runs behind them."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from gallery import recovery, snapshot, store
from gallery.base import Base
from gallery.database import Database
from gallery.errors import GalleryClosed, GalleryError
from gallery.group_commit import Edit, GroupCommit, T, Waiting
from gallery.records import IndexState
from gallery.view import View

logger = logging.getLogger(__name__)


class Index:
    """Holds the view that searches take, in step with the database.

    `view` may be read at any time and never changes. `writing` is held by a change from its
    transaction until its view is published.
    """

    def __init__(self, folder: Path, database: Database, compact_at: int) -> None:
        """Load the newest snapshot in `folder` and replay the database, or rebuild from it."""
        self._folder = folder
        self._database = database
        self._compact_at = compact_at
        with database.read() as db:
            self._gallery = store.state(db)
            self.view, saved = recovery.opened(db, folder)
        self.state: IndexState = "ready"
        self._saved: Base | None = self.view.base if saved else None
        self._closed = False
        # Taken in this order: one new base at a time, then one change at a time.
        self._folding = threading.Lock()
        self.writing = threading.Lock()
        self._changes = GroupCommit(self._commit)
        self._compaction: threading.Thread | None = None
        if not saved:
            self._save_or_warn()

    def change(self, edit: Edit[T]) -> T:
        """Run one change in a transaction, and publish its view when it is on the disk.

        Changes of several threads may share the transaction; each succeeds or fails by itself.
        """
        return self._changes.submit(edit)

    def save(self) -> None:
        """Fold what is pending into a new base and write a snapshot. Raises StorageFailed."""
        with self._folding:
            if self._closed:
                raise GalleryClosed
            self._save()

    def rebuild(self) -> None:
        """Build the base again from the database and write a snapshot. Raises StorageFailed."""
        with self._folding:
            self.state = "rebuilding"
            try:
                with self._database.read() as db:
                    base = recovery.built(db)
                with self.writing, self._database.read() as db:
                    self.view = recovery.replayed(View.of(base), db)
                self._save()
            finally:
                self.state = "ready"

    def close(self) -> None:
        """Refuse changes, finish what is running and save. The database must still be open."""
        with self.writing:
            if self._closed:
                return
            self._closed = True
        if self._compaction is not None:
            self._compaction.join()
        self._save_or_warn()

    def _commit(self, group: list[Waiting[Any]]) -> None:
        with self.writing:
            if self._closed:
                raise GalleryClosed
            with self._database.write() as db:
                view = self.view
                for waiting in group:
                    view = waiting.run(db, view)
            # Nothing between commit and this assignment can fail.
            self.view = view
            if view.pending > self._compact_at and not self._compacting():
                self._compaction = threading.Thread(target=self._compact, name="gallery-compaction")
                self._compaction.start()

    def _compacting(self) -> bool:
        return self._compaction is not None and self._compaction.is_alive()

    def _compact(self) -> None:
        with self._folding:
            self.state = "compacting"
            try:
                self._save()
            except Exception:
                # Searches stay right without it; the next change over the limit tries again.
                logger.exception("the index could not be compacted")
            finally:
                self.state = "ready"

    def _save_or_warn(self) -> None:
        try:
            with self._folding:
                self._save()
        except GalleryError as error:
            logger.warning("%s", error)

    def _save(self) -> None:
        before = self.view
        if before.pending:
            base = before.folded()
            with self.writing:
                self.view = self.view.rebased(before, base)
        base = self.view.base
        if base is self._saved or not base.sequence:
            return
        floor = snapshot.write(self._folder, base, self._gallery)
        self._saved = base
        with self.writing, self._database.write() as db:
            store.forget_deletions(db, floor)
