import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gallery import (
    FingerprintMismatch,
    Gallery,
    GalleryClosed,
    GalleryDamaged,
    StorageFailed,
    UnsupportedSchema,
)
from gallery.database import DATABASE_NAME, Database
from gallery.schema import MIGRATIONS
from tests.gallery.samples import (
    FINGERPRINT,
    bits,
    held_rows,
    new_image,
    opened,
    vectors_of,
)


def test_another_embedder_is_refused_unless_there_are_no_vectors(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        gallery.put_product("p", "P", {})
    with Gallery.open(tmp_path, dimension=4, fingerprint="another") as gallery:
        assert gallery.stats().fingerprint == "another"
        image = new_image("a", dimension=4)
        gallery.add_images("p", [image])
    for dimension, fingerprint in ((4, FINGERPRINT), (8, "another")):
        with pytest.raises(FingerprintMismatch, match=r"embedder another \(4-d\).*gallery reembed"):
            Gallery.open(tmp_path, dimension=dimension, fingerprint=fingerprint)
    with Gallery.open(tmp_path, dimension=4, fingerprint="another") as gallery:
        assert gallery.search(image.vectors, 1).candidates[0][0].product_id == "p"
        gallery.delete_product("p")
    with opened(tmp_path) as gallery:
        gallery.put_product("p", "P", {})
        gallery.add_images("p", [new_image("a", [bits(0)])])
        assert gallery.search(bits(0)[None], 1).candidates[0][0].product_id == "p"


def test_what_is_refused_keeps_its_schema(tmp_path: Path) -> None:
    """So that the release that it was made with can go on."""
    with closing(Database(tmp_path / DATABASE_NAME, MIGRATIONS[:1])) as old, old.write() as db:
        db.execute("UPDATE state SET fingerprint = 'another', dimension = 4")
        db.execute("INSERT INTO products VALUES (1, 'p', 'P', '{}', '', '')")
        db.execute("INSERT INTO images VALUES (1, 'i', 1, '', 1, 1, '')")
        db.execute("INSERT INTO vectors VALUES (1, 1, x'0000000000000000')")
    with pytest.raises(FingerprintMismatch):
        opened(tmp_path)
    Database(tmp_path / DATABASE_NAME, MIGRATIONS[:1]).close()
    Gallery.open(tmp_path, dimension=4, fingerprint="another").close()
    with pytest.raises(UnsupportedSchema):
        Database(tmp_path / DATABASE_NAME, MIGRATIONS[:1])


def test_a_database_of_another_owner_is_refused_at_once() -> None:
    user = os.geteuid()
    with TemporaryDirectory() as name:  # pytest's own is for its owner alone
        folder = Path(name)
        opened(folder).close()
        folder.chmod(0o777)
        for path in folder.iterdir():
            path.chmod(0o666)
        (folder / DATABASE_NAME).chmod(0o444)
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(StorageFailed, match=r"readonly.*permissions"):
                opened(folder)
        finally:
            os.seteuid(user)


def test_rebuilt_answers_are_those_from_before(tmp_path: Path) -> None:
    with opened(tmp_path, compact_at=20) as gallery:
        for product in range(5):
            gallery.put_product(f"p{product}", "P", {})
            gallery.add_images(f"p{product}", [new_image((product, n)) for n in range(9)])
        gallery.delete_product("p2")
        queries = vectors_of("queries", 30)
        before = gallery.search(queries, 5)
        gallery.rebuild()
        assert gallery.search(queries, 5) == before
        assert held_rows(gallery) == (36, 0, 0)
        assert gallery.stats().index_state == "ready"
        assert gallery.consistent()


def test_it_compacts_when_enough_has_changed(tmp_path: Path) -> None:
    gallery = opened(tmp_path, compact_at=10)
    gallery.put_product("p", "P", {})
    for n in range(40):
        gallery.add_images("p", [new_image(n)])
    gallery.close()
    folders = sorted((tmp_path / "index").iterdir())
    assert len(folders) == 2
    with opened(tmp_path) as gallery:
        assert held_rows(gallery)[0] == 40


def test_a_change_holds_though_no_thread_can_be_started_to_compact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    gallery = opened(tmp_path, compact_at=3)
    gallery.put_product("p", "P", {})
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for n in range(5):
            gallery.add_images("p", [new_image(n)])
    assert "can't start new thread" in caplog.text
    assert held_rows(gallery)[1] == 5
    gallery.add_images("p", [new_image(5)])
    assert gallery._index._compaction is not None
    gallery._index._compaction.join()
    assert held_rows(gallery) == (6, 0, 0)
    gallery.close()


def test_an_index_that_disagrees_with_the_database_is_reported(tmp_path: Path) -> None:
    gallery = opened(tmp_path)
    gallery.put_product("p", "P", {})
    gallery.add_images("p", [new_image("a", [bits(0)])])
    assert gallery.consistent()
    with gallery._database.write() as db:
        db.execute("DELETE FROM images")
    assert not gallery.consistent()
    with pytest.raises(GalleryDamaged, match="Rebuild the index"):
        gallery.search(bits(0)[None], 1)
    gallery.rebuild()
    assert gallery.consistent()
    assert gallery.search(bits(0)[None], 1).candidates == [[]]
    gallery.close()


def test_who_asks_whether_all_is_well_does_not_wait_for_a_change(tmp_path: Path) -> None:
    with (
        opened(tmp_path) as gallery,
        closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        change = threading.Thread(target=gallery.put_product, args=("p", "P", {}))
        change.start()
        while not gallery._index.writing.locked():
            time.sleep(0.01)
        assert gallery.consistent()
        assert gallery._index.writing.locked()
        other.execute("ROLLBACK")
        change.join()
        assert gallery.get_product("p")


def test_a_closed_gallery_says_so(tmp_path: Path) -> None:
    gallery = opened(tmp_path)
    gallery.put_product("p", "P", {})
    gallery.close()
    gallery.close()
    for call in (
        lambda: gallery.put_product("p", "P", {}),
        lambda: gallery.get_product("p"),
        lambda: gallery.search(bits(0)[None], 1),
        gallery.stats,
        gallery.consistent,
        gallery.rebuild,
        gallery.snapshot,
    ):
        with pytest.raises(GalleryClosed):
            call()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="can't be made"):
        opened(tmp_path / "file" / "g")


def test_importing_it_is_silent() -> None:
    code = "import logging; logging.basicConfig(level=logging.INFO); import gallery"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_an_empty_gallery_opens_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with opened(tmp_path) as gallery:
                assert gallery.stats().index_kind == "flat-fp16"
    assert not caplog.records
