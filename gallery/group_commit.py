"""Changes that wait for the disk at the same time share one commit.

The first of them to come leads: it runs all that wait in one transaction, each in a savepoint of
its own, so that one that is refused doesn't undo its neighbours. What SQLite raises (disk full,
I/O) fails all of them: after that it may have rolled back by itself. Those that come meanwhile wait
for the next commit, so one fsync serves as many writers as there are.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from gallery.view import View

T = TypeVar("T")
Edit = Callable[[sqlite3.Connection, View], tuple[T, View]]


class Waiting(Generic[T]):
    """One change, and what became of it. It runs in the context of whoever asked for it."""

    def __init__(self, edit: Edit[T]) -> None:
        self._edit = edit
        self._context = copy_context()
        self._turn = threading.Event()
        self._answer: list[T] = []
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        return bool(self._answer) or self._error is not None

    def run(self, db: sqlite3.Connection, view: View) -> View:
        """Make the change after `view`; the view it leads to, the same one when it fails.

        Raises sqlite3.Error, which concerns the whole transaction.
        """
        db.execute("SAVEPOINT edit")
        try:
            answer, view = self._context.run(self._edit, db, view)
        except sqlite3.Error:
            raise
        except Exception as error:
            db.execute("ROLLBACK TO edit")
            self._error = error
        else:
            self._answer = [answer]
        db.execute("RELEASE edit")
        return view

    def fail(self, error: BaseException) -> None:
        """The transaction it was in is undone."""
        self._answer, self._error = [], self._error or error

    def wait(self) -> None:
        """Until it is done or is the next to lead."""
        self._turn.wait()

    def wake(self) -> None:
        self._turn.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answer[0]


class GroupCommit:
    """Hands the changes of many threads, in the order they come, to one `commit` at a time."""

    def __init__(self, commit: Callable[[list[Waiting[Any]]], None]) -> None:
        """`commit` runs each change of the list and makes them durable, or raises."""
        self._commit = commit
        self._lock = threading.Lock()
        self._queue: deque[Waiting[Any]] = deque()

    def submit(self, edit: Edit[T]) -> T:
        """The change's answer once it is durable, or what it or the commit raised."""
        own = Waiting(edit)
        with self._lock:
            self._queue.append(own)
            leads = len(self._queue) == 1
        if not leads:
            own.wait()
        if not own.done:
            self._lead()
        return own.result()

    def _lead(self) -> None:
        with self._lock:
            group = list(self._queue)
        try:
            self._commit(group)
        except BaseException as error:
            for waiting in group:
                waiting.fail(error)
        with self._lock:
            for _ in group:
                self._queue.popleft()
            following = self._queue[0] if self._queue else None
        for waiting in group:
            waiting.wake()
        if following is not None:
            following.wake()
