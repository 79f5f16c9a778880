import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from gallery import store
from gallery.database import Database
from gallery.errors import GalleryClosed, GalleryDamaged, StorageFailed, UnsupportedSchema
from gallery.schema import MIGRATIONS


def fill(db: sqlite3.Connection, product_id: str) -> None:
    db.execute(
        "INSERT INTO products (id, name, metadata, created_at, updated_at)"
        " VALUES (?, '', '{}', '', '')",
        (product_id,),
    )


def ids(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT id FROM products ORDER BY id")]


def test_writes_are_in_the_write_ahead_log_and_synchronised(tmp_path: Path) -> None:
    database = Database(tmp_path / "g")
    with database.write() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)
    database.close()


def test_a_full_folder_for_temporary_files_does_not_matter(tmp_path: Path) -> None:
    """SQLite would keep there what a large change may have to undo."""
    with closing(Database(tmp_path / "g")) as database:
        for opened in (database.read, database.write):
            with opened() as db:
                assert db.execute("PRAGMA temp_store").fetchone() == (2,)  # memory


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "g")

    def fail(statement: str) -> None:
        with database.write() as db:
            fill(db, "a")
            db.execute(statement)

    with pytest.raises(StorageFailed):
        fail("INSERT INTO products (id) VALUES ('without a name')")
    with pytest.raises(TypeError):
        fail(None)  # type: ignore[arg-type]
    with database.write() as db:
        fill(db, "d")
    with database.read() as db:
        assert ids(db) == ["d"]
    database.close()


def test_a_reader_sees_one_state_while_the_writer_goes_on(tmp_path: Path) -> None:
    database = Database(tmp_path / "g")
    with database.read() as reader:
        assert ids(reader) == []
        with database.write() as writer:
            fill(writer, "a")
        assert ids(reader) == []
    with database.read() as reader:
        assert ids(reader) == ["a"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            fill(reader, "b")
    database.close()


def test_a_log_that_grew_while_somebody_read_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.database._CHECKPOINT_PAGES", 10)
    monkeypatch.setattr("gallery.database._LOG_BYTES", 100_000)
    log = tmp_path / "g.sqlite3-wal"
    with closing(Database(tmp_path / "g.sqlite3")) as database:
        with database.read() as db:
            ids(db)
            for number in range(100):
                with database.write() as writer:
                    fill(writer, f"p{number}")
        assert log.stat().st_size > 200_000
        for number in range(100, 102):
            with database.write() as writer:
                fill(writer, f"p{number}")
        assert log.stat().st_size <= 100_000


def test_connections_pass_between_threads_and_are_closed(tmp_path: Path) -> None:
    database = Database(tmp_path / "g")

    def look(_: int) -> list[str]:
        with database.read() as db:
            return ids(db)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(look, range(32))) == [[]] * 32
    with database.read() as held:
        database.close()
        assert ids(held) == []
    for use in (database.read, database.write):
        with pytest.raises(GalleryClosed), use():
            pass
    # The last connection to go has folded the log into the file.
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(GalleryDamaged, match="not an SQLite database"):
        Database(path)
    assert path.read_bytes().startswith(b"not a database")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "g"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(GalleryDamaged, match="another program"):
        Database(path)


def test_damage_met_while_reading_is_reported_as_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "g"
    database = Database(path)
    with database.write() as db:
        for number in range(2000):
            fill(db, f"product {number:05d}")
    database.close()
    data = bytearray(path.read_bytes())
    for page in range(12, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    database = Database(path)
    database.check_sound()
    for _ in range(2):
        with pytest.raises(GalleryDamaged, match="Restore it from a backup"), database.read() as db:
            ids(db)
        with pytest.raises(GalleryDamaged, match="Restore it from a backup"):
            database.check_sound()
    assert len(caplog.records) == 1
    database.close()


def test_a_file_that_was_moved_or_replaced_takes_no_changes(tmp_path: Path) -> None:
    folder, aside = tmp_path / "data", tmp_path / "aside"
    folder.mkdir()
    with closing(Database(folder / "g")) as database:
        with database.read() as db:
            assert ids(db) == []
        folder.rename(aside)
        for _ in ("gone", "replaced"):
            with pytest.raises(StorageFailed, match="moved or replaced"), database.write():
                pass
            with pytest.raises(StorageFailed, match="moved or replaced"):
                database.check_sound()
            # What is open already goes on; no reader opens another file, or makes one.
            with database.read() as db:
                assert ids(db) == []
                with pytest.raises(StorageFailed, match="moved or replaced"), database.read():
                    pass
            assert not (folder / "g").exists() or (folder / "g").stat().st_size == 0
            folder.mkdir(exist_ok=True)
            (folder / "g").touch()
        (folder / "g").unlink()
        folder.rmdir()
        aside.rename(folder)
        database.check_sound()
        with database.write() as db:
            fill(db, "a")
    with closing(Database(folder / "g")) as database, database.read() as db:
        assert ids(db) == ["a"]


def test_nobody_waits_behind_one_who_waited_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.database._BUSY_SECONDS", 0.5)
    monkeypatch.setattr("gallery.resting._SECONDS", 0.5)
    with closing(Database(tmp_path / "g")) as database:
        with closing(sqlite3.connect(tmp_path / "g", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waited = []
            for _ in range(2):
                start = time.monotonic()
                with pytest.raises(StorageFailed, match="database is locked"), database.write():
                    pass
                waited.append(time.monotonic() - start)
        assert waited[1] < 0.4 < waited[0]
        time.sleep(0.5)
        with database.write() as db:
            fill(db, "a")


def test_a_folder_in_the_way_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="could not be read or written"):
        Database(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g"
    Database(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UnsupportedSchema, match=r"version 99.*newer"):
        Database(path)


def test_migrations_run_once_each_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "g"
    Database(path).close()
    broken = "CREATE TABLE extra (a TEXT); INSERT INTO nowhere VALUES (1)"
    with pytest.raises(StorageFailed):
        Database(path, (*MIGRATIONS, broken))
    added = "CREATE TABLE extra (a TEXT)"
    for _ in range(2):
        database = Database(path, (*MIGRATIONS, added))
        with database.read() as db:
            assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
            assert db.execute("SELECT count(*) FROM extra").fetchone() == (0,)
        database.close()


@pytest.mark.parametrize("version", [1, 7])
def test_products_that_have_images_are_counted_in_older_galleries(
    tmp_path: Path, version: int
) -> None:
    database = Database(tmp_path / "g", MIGRATIONS[:version])
    with database.write() as db:
        for product in "abc":
            fill(db, product)
        db.executemany(
            "INSERT INTO images (id, product, content_sha256, width, height, created_at)"
            " VALUES (?, ?, ?, 30, 20, '')",
            [("i", 1, "i"), ("j", 1, "j"), ("k", 3, "k")],
        )
    database.close()
    database = Database(tmp_path / "g")
    with database.write() as db:
        assert store.counts(db).pictured == 2
        db.execute("DELETE FROM images WHERE id = 'i'")
        assert store.counts(db).pictured == 2
        db.execute("DELETE FROM products WHERE id = 'a'")
        assert store.counts(db).pictured == 1
        db.execute("DELETE FROM images WHERE id = 'k'")
        assert store.counts(db).pictured == 0
    database.close()
