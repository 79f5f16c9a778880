"""The proxy sends writes to another process while the one before finishes what it was sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from bench.milvus_server import MilvusServer
from gallery import GalleryUnavailable
from gallery.milvus import MilvusGallery, writer
from gallery.milvus.connection import Connection
from gallery.milvus.schema import CHANGES, REFERENCES
from tests.gallery.milvus.opening import emptied, opened
from tests.gallery.samples import new_image, vectors_of


@pytest.fixture(autouse=True)
def somebody_else_writes(nobody_else_writes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_STILL_SECONDS", 0.5)
    monkeypatch.setattr(writer, "_YOUNG_SECONDS", 1.5)


class Held:
    """A gallery whose next change stops just before it is in the log."""

    def __init__(self, gallery: MilvusGallery, patch: pytest.MonkeyPatch) -> None:
        self.stopped, self.goes_on = Event(), Event()
        insert = Connection.insert

        def stopping(connection: Connection, kind: str, rows: list[object]) -> None:
            if connection is gallery._connection and kind == CHANGES:
                self.stopped.set()
                assert self.goes_on.wait(60)
            insert(connection, kind, rows)

        patch.setattr(Connection, "insert", stopping)


@pytest.fixture
def url(milvus: MilvusServer) -> str:
    return emptied(f"{milvus.url}/contract")


@pytest.mark.parametrize(
    "change",
    [
        lambda gallery: gallery.add_images("p", [new_image("slow")]),
        lambda gallery: gallery.put_product("slow", "Slow", {}),
    ],
    ids=["seen in the making", "not seen yet"],
)
def test_who_takes_over_lets_the_one_before_finish(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[MilvusGallery], object],
) -> None:
    with (
        opened(url, tmp_path) as before,
        opened(url, tmp_path) as after,
        ThreadPoolExecutor(2) as threads,
    ):
        before.put_product("p", "P", {})
        held = Held(before, monkeypatch)
        slow = threads.submit(change, before)
        assert held.stopped.wait(60)
        quick = threads.submit(after.add_images, "p", [new_image("quick")])
        # Whether it has waited or not: it must not have gone on without the other.
        with pytest.raises(TimeoutError):
            quick.result(timeout=writer._STILL_SECONDS / 2)
        held.goes_on.set()
        slow.result()
        quick.result()
        assert after.stats().revision == 3
        contents = [image.content_sha256 for image in after.list_images("p")]
        assert len(contents) == after.stats().images
        assert after._connection.count(REFERENCES, level="Strong") == len(contents)
        for name in ("quick", "slow") if len(contents) == 2 else ("quick",):
            ((best,),) = after.search(vectors_of(name), 1).candidates
            assert after.get_image(best.image_id).content_sha256 in contents


def test_two_that_are_sent_writes_at_once_lose_nothing(url: str, tmp_path: Path) -> None:
    def write(gallery: MilvusGallery, name: str) -> None:
        gallery.put_product(name, name, {})
        for number in range(2):
            gallery.add_images(name, [new_image((name, number))])

    with (
        opened(url, tmp_path) as one,
        opened(url, tmp_path) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        for writing in [threads.submit(write, one, "one"), threads.submit(write, other, "other")]:
            writing.result()
        # What another process wrote is seen a moment later.
        deadline = time.monotonic() + 30
        while other.stats().revision < 6 and time.monotonic() < deadline:
            time.sleep(0.1)
        stats = other.stats()
        assert (stats.products, stats.images, stats.revision) == (2, 4, 6)
        assert other._connection.count(REFERENCES, level="Strong") == 4
        assert len(other.changes(0, 100)) == 6
        for name in ("one", "other"):
            assert len(one.list_images(name)) == len(other.list_images(name)) == 2


def test_who_would_have_to_wait_too_long_says_so(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(url, tmp_path) as before, opened(url, tmp_path) as after:
        before.put_product("p", "P", {})
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_LONGEST_WAIT_SECONDS", 0)
            with pytest.raises(GalleryUnavailable):
                after.put_product("q", "Q", {})
        after.put_product("q", "Q", {})
        assert after.stats().products == 2
