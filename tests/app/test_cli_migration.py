"""`tillsight gallery migrate`, and what else asks where the gallery is."""

import subprocess
import sys
from pathlib import Path

from bench.milvus_server import MilvusServer
from tests.app.processes import service_environment
from tests.gallery.milvus.opening import emptied
from tests.gallery.samples import new_image, opened


def tillsight(data: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=service_environment(data, **settings),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_gallery_goes_to_a_server_and_back(milvus: MilvusServer, tmp_path: Path) -> None:
    with opened(tmp_path / "shop" / "gallery") as gallery:
        for number in range(3):
            gallery.put_product(f"p{number}", "P", {})
            gallery.add_images(f"p{number}", [new_image(number)])
    server = emptied(f"{milvus.url}/contract")
    here, back = (f"sqlite:///{tmp_path / name / 'gallery'}" for name in ("shop", "back"))
    for source, target in ((here, server), (server, back)):
        done = tillsight(tmp_path / "shop", "gallery", "migrate", source, target)
        assert done.returncode == 0, done.stderr
        assert "3 products and 3 images" in done.stdout
        assert "3 of 3 answers are the same" in done.stdout
    with opened(tmp_path / "back" / "gallery") as gallery:
        assert gallery.stats().images == 3


def test_mistakes_are_told(tmp_path: Path) -> None:
    missing = tillsight(tmp_path, "gallery", "migrate", f"sqlite:///{tmp_path}/no", "sqlite:///x")
    assert (missing.returncode, "There is no gallery in" in missing.stderr) == (1, True)
    wrong = tillsight(tmp_path, "gallery", "migrate", "ftp://there", "sqlite:///x")
    assert (wrong.returncode, "is no gallery" in wrong.stderr) == (1, True)
    away = tillsight(tmp_path, "gallery", "stats", gallery_url="http://127.0.0.1:9")
    assert (away.returncode, "does not answer" in away.stderr) == (1, True)
    for command in ("backup", "restore"):
        (tmp_path / "file").touch()
        refused = tillsight(
            tmp_path, "gallery", command, str(tmp_path / "file"), gallery_url="http://milvus:1"
        )
        assert (refused.returncode, "on a Milvus server" in refused.stderr) == (1, True)
