import sqlite3
from pathlib import Path

from bench.index_rows import disagreeing
from tests.gallery.samples import new_image, opened


def test_rows_that_are_not_the_databases_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path / "g", compact_at=30) as gallery:
        gallery.put_product("p", "P", {})
        assert disagreeing(gallery) == 0
        added = gallery.add_images("p", [new_image(n) for n in range(40)])
        gallery.snapshot()
        gallery.delete_image(added[7].id)
        gallery.add_images("p", [new_image(n) for n in range(40, 50)])
        assert disagreeing(gallery) == 0
        connection = sqlite3.connect(tmp_path / "g" / "gallery.sqlite3")
        connection.execute("UPDATE vectors SET vector = zeroblob(16) WHERE number IN (20, 21)")
        connection.commit()
        assert disagreeing(gallery) == 2
        connection.execute("DELETE FROM vectors WHERE number = (SELECT max(number) FROM vectors)")
        connection.commit()
        connection.close()
        assert disagreeing(gallery) == 3
