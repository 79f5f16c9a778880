"""Versions of products, and the history of what changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path

import pytest

from gallery import (
    Gallery,
    HistoryForgotten,
    InvalidValue,
    UnknownProduct,
    VersionConflict,
    history,
)
from gallery.database import Database
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
    assert gallery.put_product("p", "P", {})[0].version == 5
    assert gallery.get_product("q").version == 2


def test_a_change_for_another_version_is_refused(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {}, expected_version=0)
    for wrong in (0, 2):
        with pytest.raises(VersionConflict, match="'p' is at version 1"):
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
        with pytest.raises(HistoryForgotten):
            gallery.changes(6, 10)
        gallery.put_product("p", "new", {}, expected_version=7)
        assert kinds(gallery, 7) == [(8, "put product", "p")]
