"""Waiting changes share a commit, and one that is refused leaves its neighbours."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gallery.base import BaseBuilder
from gallery.database import Database
from gallery.errors import StorageFailed
from gallery.group_commit import GroupCommit, Waiting
from gallery.view import View


class Commits:
    """A database that counts its transactions and holds the first until it is let go."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, ("CREATE TABLE numbers (n INTEGER UNIQUE) STRICT",))
        self.view = View.of(BaseBuilder(4).finish(sequence=0, last_vector=0))
        self.groups: list[int] = []
        self.started, self.go = threading.Event(), threading.Event()

    def commit(self, group: list[Waiting[Any]]) -> None:
        with self.database.write() as db:
            self.started.set()
            assert self.go.wait(30)
            view = self.view
            for waiting in group:
                view = waiting.run(db, view)
        self.view = view
        self.groups.append(len(group))

    def numbers(self) -> list[int]:
        with self.database.read() as db:
            return [row[0] for row in db.execute("SELECT n FROM numbers ORDER BY n")]


def insert(number: int, error: Exception | None = None) -> Any:
    def change(db: sqlite3.Connection, view: View) -> tuple[int, View]:
        db.execute("INSERT INTO numbers VALUES (?)", (number,))
        if error is not None:
            raise error
        return number, view.at(view.sequence + 1)

    return change


def all_at_once(commits: Commits, changes: list[Any]) -> list[Future[int]]:
    """The first change alone, the others in one group behind it."""
    group = GroupCommit(commits.commit)
    with ThreadPoolExecutor(len(changes)) as threads:
        first = threads.submit(group.submit, changes[0])
        assert commits.started.wait(30)
        others = [threads.submit(group.submit, change) for change in changes[1:]]
        while len(group._queue) < len(changes):
            threading.Event().wait(0.001)
        commits.go.set()
    return [first, *others]


def test_those_that_wait_are_committed_together(tmp_path: Path) -> None:
    commits = Commits(tmp_path / "g")
    futures = all_at_once(commits, [insert(number) for number in range(6)])
    assert [future.result() for future in futures] == list(range(6))
    assert commits.groups == [1, 5]
    assert commits.numbers() == list(range(6))
    assert commits.view.sequence == 6


def test_one_that_fails_leaves_its_neighbours(tmp_path: Path) -> None:
    commits = Commits(tmp_path / "g")
    changes = [insert(0), insert(1), insert(2, ValueError("mine")), insert(3)]
    futures = all_at_once(commits, changes)
    assert [futures[n].result() for n in (0, 1, 3)] == [0, 1, 3]
    with pytest.raises(ValueError, match="mine"):
        futures[2].result()
    assert commits.numbers() == [0, 1, 3]
    assert commits.view.sequence == 3


def test_what_the_database_refuses_fails_the_whole_group_and_is_undone(tmp_path: Path) -> None:
    commits = Commits(tmp_path / "g")
    futures = all_at_once(commits, [insert(0), insert(1), insert(0), insert(3)])
    assert futures[0].result() == 0
    for future in futures[1:]:
        with pytest.raises(StorageFailed):
            future.result()
    assert commits.numbers() == [0]
    assert commits.view.sequence == 1


def test_the_next_one_goes_on_after_a_failure(tmp_path: Path) -> None:
    commits = Commits(tmp_path / "g")
    commits.go.set()
    group = GroupCommit(commits.commit)
    with pytest.raises(ValueError, match="mine"):
        group.submit(insert(1, ValueError("mine")))
    assert group.submit(insert(1)) == 1
    assert commits.numbers() == [1]
