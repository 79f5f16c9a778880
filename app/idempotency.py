"""Answers kept by the key that clients give their requests: one that is sent again is done once.

Semantics: draft-ietf-httpapi-idempotency-key-header. An answer is kept when it is known, apart from
the change itself: after a crash between the two a request sent again is done again, which all that
take a key bear (the same image is one reference, an archive may be imported twice).
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from gallery import StorageFailed
from gallery.database import is_damage

KEPT_SECONDS = 24 * 60 * 60
# Faults of the service's own are not answers: the request may be sent again.
FIRST_FAULT = 500
logger = logging.getLogger(__name__)

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, at INTEGER NOT NULL,
    status INTEGER NOT NULL, media_type TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS answers_by_time ON answers (at);
"""


class _Damaged(Exception):
    """The file is no sound database."""


class KeyInUse(Exception):
    """A request with this key is being answered right now."""


class KeyReused(Exception):
    """The key belongs to another request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with."""

    status: int
    media_type: str
    body: bytes


class Answers:
    """The answers of the last day. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; one that is damaged is replaced.

        Raises:
            StorageFailed: it can't be opened just now; it stays as it is.
        """
        self._lock = Lock()
        self._running: set[str] = set()
        try:
            self._db = _opened(path)
        except _Damaged as error:
            logger.warning("%s can't be read (%s) and is made anew.", path, error)
            forget_answers(path)
            self._db = _opened(path)

    def once(self, key: str, request: str, make: Callable[[], Answer]) -> Answer:
        """What `make` answers or, for a request that had this key before, what it answered then.

        `request` tells requests apart: the same text is the same request.

        Raises:
            KeyInUse, KeyReused: nothing was made.
            StorageFailed: the file can't be read; nothing was made.
        """
        with self._lock:
            if key in self._running:
                raise KeyInUse
            known = self._find(key, request)
            if known is not None:
                return known
            self._running.add(key)
        try:
            answer = make()
            if answer.status < FIRST_FAULT:
                self._keep(key, request, answer)
            return answer
        finally:
            with self._lock:
                self._running.remove(key)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _find(self, key: str, request: str) -> Answer | None:
        try:
            row = self._db.execute(
                "SELECT request, status, media_type, body FROM answers WHERE key = ? AND at > ?",
                (key, _now() - KEPT_SECONDS),
            ).fetchone()
        except sqlite3.Error as error:
            raise _unreadable(error) from error
        if row is None:
            return None
        if row[0] != request:
            raise KeyReused
        return Answer(*row[1:])

    def _keep(self, key: str, request: str, answer: Answer) -> None:
        try:
            with self._lock, self._db:
                self._db.execute("DELETE FROM answers WHERE at <= ?", (_now() - KEPT_SECONDS,))
                self._db.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                    (key, request, _now(), answer.status, answer.media_type, answer.body),
                )
        except sqlite3.Error:
            # The change is made and told; only sending the request again would do it again.
            logger.exception("An answer could not be kept.")


def forget_answers(path: Path) -> None:
    """Remove the file, which nobody has open: what its answers tell is no longer so."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _opened(path: Path) -> sqlite3.Connection:
    try:
        with ExitStack() as opened:
            db = opened.enter_context(closing(sqlite3.connect(path, check_same_thread=False)))
            db.executescript(_SCHEMA)
            # Pages are read when they are needed: all of them now, while the file may be replaced.
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise _Damaged(found)
            opened.pop_all()
            return db
    except sqlite3.Error as error:
        if is_damage(error):
            raise _Damaged(error) from error
        raise _unreadable(error) from error


def _unreadable(error: sqlite3.Error) -> StorageFailed:
    return StorageFailed(
        f"Kept answers can't be read ({error}). Check free space and permissions of the data "
        "folder, and that no other program holds answers.sqlite3."
    )


def _now() -> int:
    return int(time.time())
