import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bench.index_rows import disagreeing
from gallery import Gallery, GalleryDamaged, SearchResult
from tests.gallery.samples import flip_byte, held_rows, index_files, new_image, opened, vectors_of


def filled(folder: Path) -> SearchResult:
    """A gallery with a snapshot, changes after it and none of them in a newer snapshot."""
    with opened(folder, compact_at=30) as gallery:
        for product in range(6):
            gallery.put_product(f"p{product}", f"product {product}", {})
            gallery.add_images(f"p{product}", [new_image((product, n)) for n in range(15)])
        gallery.snapshot()
        gallery.delete_product("p4")
        gallery.delete_image(gallery.list_images("p2")[0].id)
        gallery.put_product("p6", "product 6", {})
        gallery.add_images("p6", [new_image((6, n)) for n in range(5)])
        return answers(gallery)


def answers(gallery: Gallery) -> SearchResult:
    return gallery.search(vectors_of("queries", 20), 7)


def crashed(folder: Path, copy: Path) -> SearchResult:
    """What a crash would leave of such a gallery: the files while it is open, not closed."""
    gallery = opened(folder)
    try:
        filled_elsewhere = answers(gallery)
        gallery.put_product("late", "late", {})
        gallery.add_images("late", [new_image(("late", n)) for n in range(3)])
        gallery.delete_image(gallery.list_images("p1")[3].id)
        gallery.delete_product("p3")
        result = answers(gallery)
        assert result != filled_elsewhere
        shutil.copytree(folder, copy)
    finally:
        gallery.close()
    return result


def test_closed_and_opened_it_answers_the_same_without_a_replay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = filled(tmp_path / "g")
    with caplog.at_level(logging.INFO), opened(tmp_path / "g") as gallery:
        assert answers(gallery) == expected
        assert gallery.consistent()
        assert held_rows(gallery)[1] == 0
    assert " 0 rows replayed" in caplog.text


def test_changes_after_the_snapshot_are_replayed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path / "g")
    expected = crashed(tmp_path / "g", tmp_path / "copy")
    with caplog.at_level(logging.INFO), opened(tmp_path / "copy") as gallery:
        assert answers(gallery) == expected
        assert gallery.consistent()
        assert held_rows(gallery)[1] == 3
    assert "rows replayed" in caplog.text
    assert "rebuilt" not in caplog.text


def flipped(folder: Path) -> None:
    for path in index_files(folder):
        flip_byte(path, path.stat().st_size // 2)


def truncated(folder: Path) -> None:
    for path in index_files(folder):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def deleted(folder: Path) -> None:
    for path in index_files(folder):
        path.unlink()


def folder_deleted(folder: Path) -> None:
    shutil.rmtree(folder / "index")


def from_another_gallery(folder: Path) -> None:
    filled(folder.parent / "another")
    shutil.rmtree(folder / "index")
    shutil.copytree(folder.parent / "another" / "index", folder / "index")


@pytest.mark.parametrize(
    "damage", [flipped, truncated, deleted, folder_deleted, from_another_gallery]
)
def test_without_a_usable_snapshot_it_is_rebuilt(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path / "g")
    expected = crashed(tmp_path / "g", tmp_path / "copy")
    damage(tmp_path / "copy")
    with caplog.at_level(logging.WARNING), opened(tmp_path / "copy") as gallery:
        assert "the index is rebuilt from the database" in caplog.text
        assert answers(gallery) == expected
        assert gallery.consistent()
        assert held_rows(gallery)[0] == gallery.stats().vectors
    caplog.clear()
    with caplog.at_level(logging.WARNING), opened(tmp_path / "copy") as gallery:
        assert answers(gallery) == expected
    assert not caplog.records


def flips(path: Path) -> Iterator[Callable[[], None]]:
    """A bit at the start, the end and places between."""
    size = path.stat().st_size
    for place in {0, size // 3, size // 2, size - 1}:
        yield partial(flip_byte, path, place, 0x10)


def cuts(path: Path) -> Iterator[Callable[[], None]]:
    data = path.read_bytes()
    for size in {0, 1, len(data) // 2, len(data) - 1}:
        yield partial(path.write_bytes, data[:size])
    yield partial(path.write_bytes, data + b"\0")


def losses(path: Path) -> Iterator[Callable[[], None]]:
    yield path.unlink


@pytest.mark.parametrize("damages", [flips, cuts, losses])
def test_every_derived_file_may_be_damaged_by_itself(
    tmp_path: Path, damages: Callable[[Path], Iterator[Callable[[], None]]]
) -> None:
    filled(tmp_path / "g")
    expected = crashed(tmp_path / "g", tmp_path / "copy")
    paths = index_files(tmp_path / "copy")
    assert len(paths) == 8
    tried = tmp_path / "tried"
    for path in paths:
        for number in range(len(list(damages(path)))):
            shutil.copytree(tmp_path / "copy", tried)
            list(damages(tried / path.relative_to(tmp_path / "copy")))[number]()
            with opened(tried) as gallery:
                assert answers(gallery) == expected
                assert disagreeing(gallery) == 0
            shutil.rmtree(tried)


def test_a_snapshot_that_can_no_longer_be_replayed_is_stale(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path / "g")
    shutil.copytree(tmp_path / "g" / "index", tmp_path / "old")
    with opened(tmp_path / "g") as gallery:
        for product in ("p0", "p1", "p2"):
            gallery.delete_product(product)
            gallery.snapshot()
        expected = answers(gallery)
    shutil.rmtree(tmp_path / "g" / "index")
    shutil.copytree(tmp_path / "old", tmp_path / "g" / "index")
    with caplog.at_level(logging.WARNING), opened(tmp_path / "g") as gallery:
        assert answers(gallery) == expected
        assert gallery.consistent()
    assert "can't be replayed" in caplog.text


def test_an_index_that_disagrees_after_replay_is_rebuilt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path / "g")
    connection = sqlite3.connect(tmp_path / "g" / "gallery.sqlite3")
    connection.execute("DELETE FROM vectors WHERE number = (SELECT min(number) FROM vectors)")
    connection.commit()
    connection.close()
    with caplog.at_level(logging.WARNING), opened(tmp_path / "g") as gallery:
        assert gallery.consistent()
    assert "the database" in caplog.text


def test_a_vector_of_the_wrong_length_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "g")
    connection = sqlite3.connect(tmp_path / "g" / "gallery.sqlite3")
    connection.execute("UPDATE vectors SET vector = x'0000' WHERE number = 20")
    connection.commit()
    connection.close()
    shutil.rmtree(tmp_path / "g" / "index")
    with pytest.raises(GalleryDamaged, match="8 dimensions"):
        opened(tmp_path / "g")


def test_an_index_folder_that_can_not_be_written_does_not_stop_the_gallery(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = filled(tmp_path / "g")
    shutil.rmtree(tmp_path / "g" / "index")
    (tmp_path / "g" / "index").write_text("a file in the way")
    with caplog.at_level(logging.WARNING), opened(tmp_path / "g") as gallery:
        assert answers(gallery) == expected
    assert "could not be saved" in caplog.text


@pytest.mark.parametrize("left", [None, b""])
def test_a_gallery_whose_database_is_gone_is_no_empty_one(
    tmp_path: Path, left: bytes | None
) -> None:
    filled(tmp_path)
    for name in ("gallery.sqlite3", "gallery.sqlite3-wal", "gallery.sqlite3-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    if left is not None:
        (tmp_path / "gallery.sqlite3").write_bytes(left)
    for _ in range(2):
        with pytest.raises(GalleryDamaged, match="Restore a backup"):
            opened(tmp_path)
    shutil.rmtree(tmp_path / "index")
    with opened(tmp_path) as gallery:
        assert gallery.stats().products == 0
