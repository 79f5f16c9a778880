"""The index while it serves: the current view, the changes to it, and what runs behind them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gallery import recovery, snapshot, store
from gallery.base import GRAPH, Base, BuildStopped
from gallery.database import Database
from gallery.errors import GalleryClosed, GalleryError
from gallery.folding import Folding
from gallery.group_commit import Edit, GroupCommit, T, Waiting
from gallery.records import IndexState
from gallery.view import View

logger = logging.getLogger(__name__)

# A snapshot is written when an eighth of its rows is new: a great one takes seconds to write.
_SAVED_PART = 8
# A graph takes minutes: it is begun when hardly any rows have come for so long.
QUIET_SECONDS = 5.0


class Index:
    """Holds the view that searches take, in step with the database.

    `view` may be read at any time and never changes. `writing` is held by a change from its
    transaction until its view is published.
    """

    def __init__(
        self, folder: Path, database: Database, *, compact_at: int, graph_from: int
    ) -> None:
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
        self._stop = threading.Event()
        self._rebuild_waits = threading.Event()
        self._folding = Folding(graph_from, compact_at)
        # Taken in this order: one new base at a time, then one change at a time.
        self._replacing = threading.Lock()
        self.writing = threading.Lock()
        self._changes = GroupCommit(self._commit)
        self._compaction: threading.Thread | None = None
        if not saved:
            self._save_or_warn()
        with self.writing:
            self._compact_if_due()

    def change(self, edit: Edit[T]) -> T:
        """Run one change in a transaction, and publish its view when it is on the disk.

        Changes of several threads may share the transaction: one that is refused leaves the others,
        what the database or the disk refuses fails all of them.
        """
        return self._changes.submit(edit)

    def save(self) -> None:
        """Write a snapshot of all there is, or, of a graph, without what is pending.

        That is little, and comes back by replay. Raises StorageFailed.
        """
        with self._replacing_base("compacting"):
            self._save()

    def compact(self) -> None:
        """Fold all that is pending into a new base now, and save it. Raises StorageFailed."""
        with self._replacing_base("compacting"):
            self._fold(stop=self._stop.is_set)
            self._write()

    def rebuild(self) -> None:
        """Build the base again from the database and write a snapshot. Raises StorageFailed.

        It is exact. A graph, if one is due, comes behind it as after a start: it may take minutes,
        for which nobody waits who wants to stop. One that is being made gives way, and is begun
        again.
        """
        self._rebuild_waits.set()
        with self._replacing_base("rebuilding"):
            self._rebuild_waits.clear()
            with self._database.read() as db:
                base = recovery.built(db)
            with self.writing, self._database.read() as db:
                self.view = recovery.replayed(View.of(base), db)
            self._save()
        with self.writing:
            self._compact_if_due()

    def close(self) -> None:
        """Refuse changes, finish what is running and save. The database must still be open."""
        with self.writing:
            if self._closed:
                return
            self._closed = True
        self._stop.set()
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
            self._compact_if_due()

    def _compact_if_due(self) -> None:
        running = self._compaction is not None and self._compaction.is_alive()
        if not running and self._folding.due(self.view):
            thread = threading.Thread(target=self._compact, name="gallery-compaction")
            try:
                thread.start()
            except RuntimeError as error:
                # No more threads for now. The change before it is made; the next one tries again.
                logger.warning("the index could not be compacted (%s)", error)
            else:
                self._compaction = thread

    def _compact(self) -> None:
        """Until nothing is due: at once what only copies, and a graph when few rows come."""
        try:
            while self._folding.due(self.view) and not self._stop.is_set():
                if not self._folding.full(self.view):
                    self._stop.wait(QUIET_SECONDS)
                with self._replacing_base("compacting"):
                    self._compact_once()
        except GalleryClosed:
            logger.info("a compaction was given up, because the gallery is being closed")
        except Exception:
            # Searches stay right without it; the next change over the limit tries again.
            logger.exception("the index could not be compacted")

    def _compact_once(self) -> None:
        # Decided here, because another new base may have been waited for.
        view = self.view
        if self._folding.full(view):
            graph = view.base.kind == GRAPH and not self._folding.flooded(view)
        elif self._folding.wants_graph(view):
            graph = True
        else:
            return

        def stop() -> bool:
            given_up = self._stop.is_set() or self._rebuild_waits.is_set()
            return given_up or self._folding.flooded(self.view)

        try:
            self._fold(graph=graph, stop=stop)
        except BuildStopped:
            return
        if self._worth_saving():
            self._write()

    @contextmanager
    def _replacing_base(self, state: IndexState) -> Iterator[None]:
        with self._replacing:
            if self._closed:
                raise GalleryClosed
            self.state = state
            try:
                yield
            except BuildStopped as stopped:
                raise GalleryClosed from stopped
            finally:
                self.state = "ready"

    def _fold(self, *, graph: bool = True, stop: Callable[[], bool]) -> None:
        before = self.view
        folded = self._folding.folded(before, self._gallery, graph=graph, stop=stop)
        with self.writing:
            self.view = self.view.rebased(before, folded.base, dropped=folded.dropped)

    def _worth_saving(self) -> bool:
        """Whether so much is not in the newest snapshot that a start would notice."""
        base, saved = self.view.base, self._saved
        if saved is None or saved.kind != base.kind:
            return True
        added, gone = base.last_vector - saved.last_vector, len(saved) - len(base)
        return max(added, gone) > max(self._compact_at, len(base) // _SAVED_PART)

    def _save_or_warn(self) -> None:
        try:
            with self._replacing:
                self._save()
        except GalleryError as error:
            logger.warning("%s", error)

    def _save(self) -> None:
        if self.view.pending and self._folding.cheap(self.view):
            self._fold(graph=False, stop=self._stop.is_set)
        self._write()

    def _write(self) -> None:
        base = self.view.base
        if base is self._saved or not base.sequence:
            return
        # Beside another gallery it would be that one's, beside none a lost one's.
        self._database.check_in_place()
        floor = snapshot.write(self._folder, base, self._gallery)
        self._saved = base
        with self.writing, self._database.write() as db:
            store.forget_deletions(db, floor)
