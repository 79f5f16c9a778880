"""`tillsight gallery migrate`, and what else asks where the gallery is."""

from pathlib import Path

from bench.milvus_server import MilvusServer
from tests.app.commands import tillsight
from tests.gallery.milvus.opening import emptied
from tests.gallery.samples import new_image, opened


def test_a_gallery_goes_to_a_server_and_back(milvus: MilvusServer, tmp_path: Path) -> None:
    with opened(tmp_path / "shop" / "gallery") as gallery:
        for number in range(3):
            gallery.put_product(f"p{number}", "P", {})
            gallery.add_images(f"p{number}", [new_image(number)])
    server = emptied(f"{milvus.url}/contract")
    here, back = (f"sqlite:///{tmp_path / name / 'gallery'}" for name in ("shop", "back"))
    for source, target in ((here, server), (server, back)):
        done = tillsight("gallery", "migrate", source, target, data_dir=tmp_path / "shop")
        assert done.returncode == 0, done.stderr
        assert "3 products and 3 images" in done.stdout
        assert "3 of 3 answers are the same" in done.stdout
    with opened(tmp_path / "back" / "gallery") as gallery:
        assert gallery.stats().images == 3


def test_mistakes_are_told(tmp_path: Path) -> None:
    nowhere = f"sqlite:///{tmp_path}/no"
    missing = tillsight("gallery", "migrate", nowhere, "sqlite:///x", data_dir=tmp_path)
    assert (missing.returncode, "There is no gallery in" in missing.stderr) == (1, True)
    wrong = tillsight("gallery", "migrate", "ftp://there", "sqlite:///x", data_dir=tmp_path)
    assert (wrong.returncode, "is no gallery" in wrong.stderr) == (1, True)
    away = tillsight("gallery", "stats", data_dir=tmp_path, gallery_url="http://127.0.0.1:9")
    assert (away.returncode, "does not answer" in away.stderr) == (1, True)
    for command in ("backup", "restore"):
        (tmp_path / "file").touch()
        words = ("gallery", command, str(tmp_path / "file"))
        refused = tillsight(*words, data_dir=tmp_path, gallery_url="http://milvus:1")
        assert (refused.returncode, "on a Milvus server" in refused.stderr) == (1, True)
