import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.feedback.photographs import Bounds, Photographs, UnknownRecognition
from app.recognizer import Recognition
from gallery import Candidate
from models.detector import Box

HOUR = 3600.0
RESULT = Recognition(
    box=Box(1.5, 2, 30, 40),
    box_source="detector",
    detection_score=0.9,
    outcome="match",
    score=0.8,
    margin=None,
    candidates=[Candidate("4001", "Juice", 0.8, "a" * 32)],
)


class Shelf:
    """Opens the photographs of one folder, with other bounds each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open: Photographs | None = None

    def __call__(
        self, most: int = 100, most_bytes: int = 10**6, seconds: float = HOUR
    ) -> Photographs:
        self.close()
        self.open = Photographs(self.folder, Bounds(most, most_bytes, seconds))
        return self.open

    def close(self) -> None:
        if self.open:
            self.open.close()

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "photographs")
    yield shelf
    shelf.close()


def kept(photographs: Photographs, *names: str) -> list[str]:
    found = []
    for name in names:
        try:
            photographs.get(name)
        except UnknownRecognition:
            continue
        found.append(name)
    return found


def test_a_photograph_and_what_was_seen_in_it_outlast_a_restart(shelf: Shelf) -> None:
    data = b"\xff\xd8 any\nbytes \x00"
    shelf().keep("request 1/../..", data, [RESULT])
    found, (seen,) = shelf().get("request 1/../..")
    assert found == data
    shelf.close()
    assert (seen.box, seen.product_id, seen.score) == (RESULT.box, "4001", 0.8)
    assert [path.parent for path in shelf.folder.iterdir()] == [shelf.folder]


def test_the_oldest_go_when_there_are_too_many(shelf: Shelf) -> None:
    photographs = shelf(most=2)
    for name in "abc":
        photographs.keep(name, b"data", [RESULT])
    assert kept(photographs, *"abc") == ["b", "c"]
    photographs.keep("b", b"another", [RESULT])  # the newest now
    photographs.keep("d", b"data", [RESULT])
    assert kept(photographs, *"abcd") == ["b", "d"]
    assert photographs.get("b")[0] == b"another"
    assert kept(shelf(most=1), *"abcd") == ["d"]


def test_the_oldest_go_when_they_are_too_large(shelf: Shelf) -> None:
    photographs = shelf(most_bytes=3000)
    for name in "abc":
        photographs.keep(name, bytes(1000), [RESULT])
    photographs.keep("large", bytes(4000), [RESULT])
    assert kept(photographs, *"abc", "large") == ["b", "c"]
    assert shelf.size() <= 3000


def test_none_is_kept_for_longer_than_was_said(shelf: Shelf) -> None:
    photographs = shelf()
    photographs.keep("old", b"data", [RESULT])
    shelf.close()
    past = time.time() - 2 * HOUR
    for path in shelf.folder.iterdir():
        os.utime(path, (past, past))
    assert kept(shelf(), "old") == []
    assert list(shelf.folder.iterdir()) == []
    brief = shelf(seconds=0.2)
    brief.keep("new", b"data", [RESULT])
    while kept(brief, "new"):
        time.sleep(0.05)
    assert list(shelf.folder.iterdir()) == []


def test_one_kept_while_the_clock_was_ahead_stays_no_longer_than_the_others(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    clock = [now + 1000 * HOUR]
    monkeypatch.setattr("app.feedback.photographs.time.time", lambda: clock[0])
    monkeypatch.setattr("app.feedback.photographs._LOOK_SECONDS", 0.01)
    photographs = shelf()
    photographs.keep("ahead", b"data", [RESULT])
    assert kept(photographs, "ahead") == ["ahead"]
    clock[0] = now
    photographs.keep("after", b"data", [RESULT])
    assert kept(photographs, "ahead", "after") == ["ahead", "after"]
    time.sleep(0.2)  # it is looked after meanwhile
    clock[0] = now + 1.01 * HOUR
    assert kept(photographs, "ahead", "after") == []


def test_what_can_not_be_removed_is_tried_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = shelf(most=1)
    photographs.keep("a", b"data", [RESULT])
    assert kept(photographs, "a") == ["a"]
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        photographs.keep("b", b"data", [RESULT])
        with pytest.raises(OSError, match="bad disk"):
            photographs.get("a")
    assert kept(photographs, "a", "b") == ["b"]
    assert len(list(shelf.folder.iterdir())) == 1


def refuse(*_: object, **__: object) -> None:
    raise OSError("bad disk")


def test_where_keeping_is_off_nothing_is_written_and_what_was_kept_goes(shelf: Shelf) -> None:
    shelf().keep("a", b"data", [RESULT])
    off = shelf(most=0)
    off.keep("b", b"data", [RESULT])
    assert kept(off, "a", "b") == []
    assert list(shelf.folder.iterdir()) == []


def test_a_file_cut_short_is_no_photograph(shelf: Shelf) -> None:
    shelf().keep("a", b"data", [RESULT])
    shelf.close()
    (path,) = shelf.folder.iterdir()
    path.write_bytes(path.read_bytes()[:20])
    (shelf.folder / "x.partial").write_bytes(b"half")
    assert kept(shelf(), "a") == []
    assert not (shelf.folder / "x.partial").exists()


def test_a_disk_that_refuses_costs_the_customer_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    photographs = shelf()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        photographs.keep("a", b"data", [RESULT])
        assert kept(photographs, "a") == []
    assert "could not be kept" in caplog.text
    assert list(shelf.folder.iterdir()) == []


def test_a_folder_that_was_removed_is_made_again(shelf: Shelf) -> None:
    photographs = shelf()
    photographs.keep("a", b"data", [RESULT])
    assert kept(photographs, "a") == ["a"]
    shutil.rmtree(shelf.folder)
    photographs.keep("b", b"data", [RESULT])
    assert kept(photographs, "a", "b") == ["b"]
    assert shelf.folder.stat().st_mode & 0o777 == 0o700


def test_a_disk_that_lags_costs_the_customer_nothing(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    photographs, slow = shelf(), threading.Event()
    photographs._writer.submit(slow.wait)
    names = [str(number) for number in range(20)]
    for name in names:
        photographs.keep(name, b"data", [RESULT])
    assert "the disk can't follow" in caplog.text
    slow.set()
    assert kept(photographs, *names) == names[:16]
    photographs.keep("new", b"data", [RESULT])
    assert kept(photographs, "new") == ["new"]
