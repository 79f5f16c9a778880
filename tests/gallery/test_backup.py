"""A backup is made while the gallery serves, and comes back as a whole or not at all."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gallery import (
    Candidate,
    Gallery,
    GalleryDamaged,
    GalleryError,
    GalleryInUse,
    HistoryForgotten,
    StorageFailed,
    UnsupportedSchema,
    VersionConflict,
    restore,
)
from gallery.backup import back_up
from gallery.database import Database
from gallery.opening import read_contents
from gallery.schema import MIGRATIONS, VERSION_1
from tests.gallery.samples import flip_byte, new_image, opened, vectors_of


def fill(gallery: Gallery, products: range) -> None:
    for product in products:
        gallery.put_product(f"p{product}", f"product {product}", {"n": product})
        gallery.add_images(f"p{product}", [new_image((product, n)) for n in range(6)])


def answers(gallery: Gallery) -> list[list[Candidate]]:
    return gallery.search(vectors_of("queries", 10), 5).candidates


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def backed_up(tmp_path: Path) -> tuple[Path, list[list[Candidate]]]:
    """A backup of a gallery that went on afterwards."""
    with opened(tmp_path / "g") as gallery:
        fill(gallery, range(8))
        expected = answers(gallery)
        gallery.backup(tmp_path / "backup")
        gallery.snapshot()
        gallery.delete_product("p0")
        fill(gallery, range(8, 12))
    return tmp_path / "backup", expected


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    backup, expected = backed_up(tmp_path)
    for folder in (tmp_path / "g", tmp_path / "new" / "place"):
        restore(backup, folder)
        with opened(folder) as gallery:
            assert answers(gallery) == expected
            assert gallery.consistent()
            assert gallery.get_product("p0").image_count == 6
    assert (tmp_path / "new" / "place").stat().st_mode & 0o077 == 0
    assert files(tmp_path / "new" / "place") == ["gallery.lock", "gallery.sqlite3", "index"]


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Even where a backup of an older release, which everybody could read, is replaced."""
    (tmp_path / "backup").touch(mode=0o644)
    backup, _ = backed_up(tmp_path)
    assert backup.stat().st_mode & 0o077 == 0


def test_snapshots_of_what_was_given_up_are_not_used(tmp_path: Path) -> None:
    """Another timeline with the same counts: only the identity tells."""
    with opened(tmp_path / "g") as gallery:
        fill(gallery, range(4))
        gallery.backup(tmp_path / "backup")
        gallery.put_product("last", "abandoned", {})
        gallery.add_images("last", [new_image("abandoned")])
    abandoned = tmp_path / "abandoned"
    shutil.copytree(tmp_path / "g" / "index", abandoned)
    restore(tmp_path / "backup", tmp_path / "g")
    with opened(tmp_path / "g") as gallery:
        gallery.put_product("last", "kept", {})
        gallery.add_images("last", [new_image("kept")])
        expected = answers(gallery)
    shutil.rmtree(tmp_path / "g" / "index")
    shutil.copytree(abandoned, tmp_path / "g" / "index")
    with opened(tmp_path / "g") as gallery:
        assert answers(gallery) == expected


def test_who_follows_what_is_restored_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Onto a gallery that went on, and where nothing is left of it."""
    with opened(tmp_path / "g") as gallery:
        gallery.put_product("p", "of the backup", {})
        gallery.backup(tmp_path / "backup")
        for n in range(9):
            lost, _ = gallery.put_product("p", f"lost {n}", {})
    for folder in (tmp_path / "g", tmp_path / "new"):
        restore(tmp_path / "backup", folder)
        with opened(folder) as gallery:
            for n in range(12):
                kept, _ = gallery.put_product("p", f"kept {n}", {})
            for revision in (0, 1, 5, lost.version):
                with pytest.raises(HistoryForgotten):
                    gallery.changes(revision, 100)
            with pytest.raises(VersionConflict):
                gallery.put_product("p", "unseen", {}, expected_version=lost.version)
            assert gallery.changes(kept.version - 12, 1)[0].sequence == kept.version - 11
            # Nothing is forgotten of who did what.
            assert len(gallery.history(None, 100)[0]) == 13
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    restore(tmp_path / "backup", tmp_path / "new")
    with opened(tmp_path / "new") as gallery:
        assert gallery.stats().revision == kept.version + 1


def test_a_backup_of_the_first_release_comes_back(tmp_path: Path) -> None:
    Database(tmp_path / "backup", (VERSION_1,)).close()
    restore(tmp_path / "backup", tmp_path / "g")
    with opened(tmp_path / "g") as gallery:
        assert gallery.changes(gallery.stats().revision, 10) == []
        with pytest.raises(HistoryForgotten):
            gallery.changes(0, 10)


def test_it_is_of_one_moment_while_the_gallery_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path / "g") as gallery:
        fill(gallery, range(20))
        done = threading.Event()

        def write() -> None:
            number = 100
            while not done.is_set():
                fill(gallery, range(number, number + 1))
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        seen: list[tuple[int, int]] = []
        try:
            for number in range(5):
                before = gallery.stats().revision
                gallery.backup(tmp_path / str(number), lambda *pages: seen.append(pages))
                restore(tmp_path / str(number), tmp_path / f"restored {number}")
                with opened(tmp_path / f"restored {number}") as copy:
                    assert copy.consistent()
                    entries, _ = copy.history(None, 10**6)
                    last = entries[0].sequence
                    assert before <= last <= gallery.stats().revision
                    assert {entry.sequence for entry in entries} == set(range(1, last + 1))
        finally:
            done.set()
            writer.join()
    assert seen[-1][0] == seen[-1][1] > 0


def test_an_earlier_backup_is_replaced_by_a_whole_one_only(tmp_path: Path) -> None:
    with opened(tmp_path / "g") as gallery:
        fill(gallery, range(2))
        gallery.backup(tmp_path / "backup")
        first = (tmp_path / "backup").read_bytes()
        fill(gallery, range(2, 4))
        with pytest.raises(StorageFailed, match="could not be written"):
            gallery.backup(tmp_path / "no such folder" / "backup")

        def stop(_done: int, _total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            gallery.backup(tmp_path / "backup", stop)
        assert (tmp_path / "backup").read_bytes() == first
        gallery.backup(tmp_path / "backup")
        assert (tmp_path / "backup").read_bytes() != first
    assert files(tmp_path) == ["backup", "g"]


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"something else" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 9] = b"\xff" * 4096 * 6
    path.write_bytes(data)


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE state (a); PRAGMA user_version = 1;")
    connection.close()


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def triggered(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TRIGGER more AFTER INSERT ON images BEGIN DELETE FROM products; END;"
        )


def rewritten(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP TRIGGER image_deleted;"
            "CREATE TRIGGER image_deleted AFTER DELETE ON images BEGIN DELETE FROM products; END;"
        )


def viewed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "ALTER TABLE thumbnails RENAME TO others; CREATE VIEW thumbnails AS"
            " SELECT image, randomblob(1000000000) AS jpeg FROM others;"
        )


def missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (not_sqlite, GalleryDamaged),
        (empty, GalleryDamaged),
        (cut, GalleryDamaged),
        (overwritten, GalleryDamaged),
        (foreign, GalleryDamaged),
        (triggered, GalleryDamaged),
        (rewritten, GalleryDamaged),
        (viewed, GalleryDamaged),
        (newer, UnsupportedSchema),
        (missing, StorageFailed),
    ],
)
def test_what_is_no_sound_backup_is_refused_and_nothing_changes(
    tmp_path: Path, damage: Callable[[Path], None], error: type[GalleryError]
) -> None:
    backup, _ = backed_up(tmp_path)
    with opened(tmp_path / "g") as gallery:
        expected = answers(gallery)
    before = files(tmp_path / "g")
    damage(backup)
    with pytest.raises(error):
        restore(backup, tmp_path / "g")
    assert files(tmp_path / "g") == before
    with opened(tmp_path / "g") as gallery:
        assert answers(gallery) == expected


def test_a_damaged_gallery_is_not_backed_up(tmp_path: Path) -> None:
    """Each night's backup would replace a sound one, until none is left."""
    with opened(tmp_path / "g") as gallery:
        fill(gallery, range(60))
        gallery.backup(tmp_path / "backup")
    sound = (tmp_path / "backup").read_bytes()
    database = tmp_path / "g" / "gallery.sqlite3"
    with closing(sqlite3.connect(database)) as db:
        pages = [page for (page,) in db.execute("SELECT pageno FROM dbstat WHERE name = 'images'")]
    data = bytearray(database.read_bytes())
    data[(pages[-1] - 1) * 4096 : pages[-1] * 4096] = bytes(range(256)) * 16
    database.write_bytes(data)
    with (
        closing(Database(database, migrate=False)) as damaged,
        pytest.raises(GalleryDamaged, match="no backup was written"),
    ):
        back_up(damaged, tmp_path / "backup")
    assert (tmp_path / "backup").read_bytes() == sound
    assert files(tmp_path) == ["backup", "g"]


def test_a_full_disk_says_nothing_against_the_backup(tmp_path: Path) -> None:
    backup, expected = backed_up(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(StorageFailed, match="Check free space"):
            restore(backup, tmp_path / "g")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    restore(backup, tmp_path / "g")
    with opened(tmp_path / "g") as gallery:
        assert answers(gallery) == expected


def test_an_open_gallery_is_not_replaced(tmp_path: Path) -> None:
    backup, _ = backed_up(tmp_path)
    with opened(tmp_path / "g") as gallery:
        with pytest.raises(GalleryInUse):
            restore(backup, tmp_path / "g")
        fill(gallery, range(20, 21))
        assert gallery.get_product("p20").image_count == 6
        assert gallery.consistent()


def test_nor_is_one_that_is_being_read(tmp_path: Path) -> None:
    backup, _ = backed_up(tmp_path)
    with read_contents(f"sqlite:///{tmp_path / 'g'}", pictures="") as held:
        before = held.revision
        with pytest.raises(StorageFailed, match="is reading"):
            restore(backup, tmp_path / "g")
    with opened(tmp_path / "g") as gallery:
        assert gallery.stats().revision == before


def test_a_damaged_gallery_can_be_replaced(tmp_path: Path) -> None:
    backup, expected = backed_up(tmp_path)
    database = tmp_path / "g" / "gallery.sqlite3"
    for position in range(16):
        flip_byte(database, position)
    database.with_name("gallery.sqlite3-wal").write_bytes(b"left over")
    restore(backup, tmp_path / "g")
    with opened(tmp_path / "g") as gallery:
        assert answers(gallery) == expected


def test_what_a_backup_that_was_killed_left_is_removed_by_the_next(tmp_path: Path) -> None:
    dead, journal, running = (
        tmp_path / f".backup.{name}" for name in ("0" * 32, "0" * 32 + "-journal", "1" * 32)
    )
    for left in (dead, journal, running):
        left.write_bytes(b"half a copy")
    for left in (dead, journal):
        os.utime(left, (time.time() - 4000,) * 2)
    backed_up(tmp_path)
    assert files(tmp_path) == [running.name, "backup", "g"]


def test_what_one_that_was_killed_left_is_removed(tmp_path: Path) -> None:
    backup, _ = backed_up(tmp_path)
    left = tmp_path / "g" / ".gallery.sqlite3.0123456789abcdef"
    left.write_bytes(b"half a copy")
    restore(backup, tmp_path / "g")
    assert not left.exists()


def test_what_only_reads_leaves_the_schema_of_an_older_release(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite3"
    with closing(Database(path, MIGRATIONS[:-1])):
        with closing(Database(path, migrate=False)) as database:
            back_up(database, tmp_path / "backup")
        with (
            pytest.raises(UnsupportedSchema, match="written by an older release"),
            read_contents(f"sqlite:///{tmp_path}", pictures=""),
        ):
            pytest.fail("it is not read")
    Database(path, MIGRATIONS[:-1]).close()
    restore(tmp_path / "backup", tmp_path / "new")
    with opened(tmp_path / "new") as gallery:
        assert gallery.consistent()
