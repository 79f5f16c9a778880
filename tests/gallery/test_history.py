"""Versions of products, and the history of what changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path

import pytest

from gallery import (
    Author,
    Gallery,
    HistoryForgotten,
    InvalidValue,
    UnknownImage,
    UnknownProduct,
    VersionConflict,
    authored,
    history,
)
from gallery.database import Database
from gallery.records import Change
from gallery.schema import VERSION_1
from tests.gallery.samples import new_image, opened


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with opened(tmp_path / "g") as opened_gallery:
        yield opened_gallery


def kinds(gallery: Gallery, after: int = 0, limit: int = 1000) -> list[tuple[int, str, str]]:
    changes = gallery.changes(after, limit)
    return [(change.sequence, change.kind, change.product_id) for change in changes]


def test_a_product_has_the_version_of_its_last_change(gallery: Gallery) -> None:
    assert gallery.put_product("p", "P", {})[0].version == 1
    assert gallery.put_product("q", "Q", {})[0].version == 2
    added = gallery.add_images("p", [new_image("a"), new_image("b")])
    assert gallery.get_product("p").version == 3
    gallery.add_images("p", [new_image("a")])
    assert gallery.get_product("p").version == 3
    gallery.delete_image(added[0].id)
    assert gallery.get_product("p").version == 4
    assert gallery.put_product("p", "P", {"shelf": 1})[0].version == 5
    assert gallery.get_product("q").version == 2


def test_a_change_for_another_version_is_refused(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {}, expected_version=0)
    for wrong, told in ((0, "'p' already, at version 1"), (2, "'p' is at version 1")):
        with pytest.raises(VersionConflict, match=told):
            gallery.put_product("p", "other", {}, expected_version=wrong)
        with pytest.raises(VersionConflict):
            gallery.delete_product("p", expected_version=wrong)
    with pytest.raises(VersionConflict, match="'q' doesn't exist"):
        gallery.put_product("q", "Q", {}, expected_version=1)
    assert gallery.get_product("p").name == "P"
    assert gallery.stats().revision == 1
    assert gallery.put_product("p", "new", {}, expected_version=1)[0].version == 2
    gallery.delete_product("p", expected_version=2)
    with pytest.raises(UnknownProduct):
        gallery.delete_product("p", expected_version=2)


def test_of_many_that_saw_one_version_one_wins(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {})

    def put(name: str) -> bool:
        try:
            gallery.put_product("p", name, {}, expected_version=1)
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(put, "abcdefgh"))
    assert won.count(True) == 1
    assert gallery.get_product("p").name == "abcdefgh"[won.index(True)]


def test_changes_are_listed_in_their_order(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {})
    added = gallery.add_images("p", [new_image("a"), new_image("b")])
    gallery.delete_image(added[1].id)
    gallery.delete_product("p")
    changes = gallery.changes(0, 100)
    assert [(change.sequence, change.kind, change.image_id) for change in changes] == [
        (1, "put product", None),
        (2, "add image", added[0].id),
        (2, "add image", added[1].id),
        (3, "delete image", added[1].id),
        (4, "delete product", None),
    ]
    assert all(change.product_id == "p" and change.at.tzinfo is UTC for change in changes)


def test_they_are_read_on_by_whole_revisions(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {})
    for n in range(4):
        gallery.add_images("p", [new_image((n, part)) for part in range(3)])
    assert [sequence for sequence, _, _ in kinds(gallery, 1, 2)] == [2, 2, 2, 3, 3, 3]
    assert kinds(gallery, 5, 2) == []
    for after, limit in ((-1, 1), (0, 0)):
        with pytest.raises(InvalidValue):
            gallery.changes(after, limit)


def test_only_the_newest_are_kept(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 6)
    gallery.put_product("p", "P", {})
    for n in range(4):
        gallery.add_images("p", [new_image((n, part)) for part in range(3)])
    assert {sequence for sequence, _, _ in kinds(gallery, 3)} == {4, 5}
    with pytest.raises(HistoryForgotten, match=r"after revision 2 .* after 3") as caught:
        gallery.changes(2, 10)
    assert caught.value.oldest == 3
    gallery.add_images("p", [new_image(("many", part)) for part in range(20)])
    assert len(kinds(gallery, 5)) == 20


def test_who_changed_what_is_kept(gallery: Gallery) -> None:
    with authored(Author("office", "r1")):
        gallery.put_product("p", "P", {"a": 1})
    with authored(Author("till", "r2")):
        (added,) = gallery.add_images("p", [new_image("a")])
        gallery.put_product("p", "New", {})
    gallery.delete_image(added.id)
    gallery.delete_product("p")
    entries, older = gallery.history(None, 10)
    assert older is None
    first = {"name": "P", "metadata": {"a": 1}, "images": 0}
    second = {"name": "New", "metadata": {}, "images": 1}
    picture = {"content_sha256": new_image("a").content_sha256}
    assert [(e.kind, e.author, e.request_id, e.before, e.after) for e in entries] == [
        ("delete product", None, None, second | {"images": 0}, None),
        ("delete image", None, None, picture, None),
        ("put product", "till", "r2", first | {"images": 1}, second),
        ("add image", "till", "r2", None, picture),
        ("put product", "office", "r1", None, first),
    ]
    assert [
        Change(e.sequence, e.kind, e.product_id, e.image_id, e.at) for e in reversed(entries)
    ] == gallery.changes(0, 10)


def test_what_is_refused_or_changes_nothing_leaves_no_trace(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {})
    gallery.add_images("p", [new_image("a")])
    before = gallery.history(None, 10)
    gallery.add_images("p", [new_image("a")])
    with pytest.raises(VersionConflict):
        gallery.put_product("p", "other", {}, expected_version=1)
    with pytest.raises(UnknownProduct):
        gallery.delete_product("q")
    with pytest.raises(UnknownImage):
        gallery.delete_image("none")
    assert gallery.history(None, 10) == before


def test_it_is_read_a_page_at_a_time_by_product_and_author(gallery: Gallery) -> None:
    for n in range(7):
        with authored(Author(f"key {n % 2}")):
            gallery.put_product(f"p{n % 3}", str(n), {})
    pages, cursor = [], None
    while True:
        entries, cursor = gallery.history(cursor, 3)
        pages.append([entry.sequence for entry in entries])
        if cursor is None:
            break
    assert pages == [[7, 6, 5], [4, 3, 2], [1]]
    of_one, _ = gallery.history(None, 10, product_id="p1")
    assert [entry.sequence for entry in of_one] == [5, 2]
    by_one, _ = gallery.history(None, 10, author="key 1")
    assert [entry.sequence for entry in by_one] == [6, 4, 2]
    assert gallery.history(None, 10, product_id="p1", author="key 0")[0] == of_one[:1]
    for cursor, limit in (("x", 1), ("-1", 1), (None, 0)):
        with pytest.raises(InvalidValue):
            gallery.history(cursor, limit)


def test_changes_that_share_a_commit_are_each_their_author_s(gallery: Gallery) -> None:
    def put(n: int) -> None:
        with authored(Author(f"key {n}")):
            gallery.put_product(f"p{n}", "P", {})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, range(100)))
    entries, _ = gallery.history(None, 100)
    assert {(entry.product_id, entry.author) for entry in entries} == {
        (f"p{n}", f"key {n}") for n in range(100)
    }


def test_a_gallery_of_the_first_release_is_brought_up_to_date(tmp_path: Path) -> None:
    Database(tmp_path / "gallery.sqlite3", (VERSION_1,)).close()
    connection = sqlite3.connect(tmp_path / "gallery.sqlite3")
    connection.execute("UPDATE state SET sequence = 7")
    connection.execute(
        "INSERT INTO products (id, name, metadata, created_at, updated_at)"
        " VALUES ('p', 'P', '{}', '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00')"
    )
    connection.commit()
    connection.close()
    with opened(tmp_path) as gallery:
        assert gallery.get_product("p").version == 7
        assert gallery.stats().products == 1
        assert gallery.changes(7, 10) == []
        assert gallery.history(None, 10) == ([], None)
        with pytest.raises(HistoryForgotten):
            gallery.changes(6, 10)
        gallery.put_product("p", "new", {}, expected_version=7)
        assert kinds(gallery, 7) == [(8, "put product", "p")]


def test_a_change_does_not_look_through_those_that_are_kept(gallery: Gallery) -> None:
    def steps_of_a_change() -> int:
        """Instructions of SQLite's machine."""
        taken = 0

        def step() -> None:
            nonlocal taken
            taken += 1

        writer = gallery._database._writer
        writer.set_progress_handler(step, 1)
        gallery.put_product("q", "Q", {})
        writer.set_progress_handler(None, 0)
        return taken

    for name in "pq":
        gallery.put_product(name, name, {})
    few = steps_of_a_change()
    for start in range(0, 4000, 1000):
        gallery.add_images("p", [new_image(start + n) for n in range(1000)])
    assert 0 < steps_of_a_change() < 2 * few
