"""Commands to a service that runs: they fill its gallery, ask it, and carry it away."""

import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.app import pictures
from tests.app.commands import tillsight, write_shop
from tests.app.processes import RunningService, running_service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("cli") / "data"
    with running_service(folder, sample_gallery=False) as service:
        yield service


@pytest.fixture
def data_dir(running: RunningService) -> Path:
    return running.log.parent / "data"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_shop(tmp_path / "shop")


def test_a_folder_is_enrolled_and_recognised(data_dir: Path, shop: Path, tmp_path: Path) -> None:
    added = tillsight("gallery", "add", str(shop), data_dir=data_dir)
    assert added.returncode == 0, added.stderr
    assert "3 images added, 0 were there already, 0 refused" in added.stdout
    # What is doubtful is named, and no failure.
    small = f"{shop / 'apple juice' / '1.jpg'}: The photograph is 120 × 90 pixels"
    assert small in " ".join(added.stdout.split())
    again = tillsight("gallery", "add", str(shop), data_dir=data_dir)
    assert "0 images added, 3 were there already, 0 refused" in again.stdout

    photograph = str(shop / "apple juice" / "2.jpg")
    drawn = tmp_path / "drawn.png"
    seen = tillsight("recognize", photograph, "--draw", str(drawn), data_dir=data_dir)
    assert seen.returncode == 0, seen.stderr
    assert "apple juice" in seen.stdout
    with Image.open(photograph) as before, Image.open(drawn) as after:
        assert after.size == before.size
        assert after.tobytes() != before.tobytes()

    answer = json.loads(tillsight("recognize", photograph, "--json", data_dir=data_dir).stdout)
    assert answer["results"][0]["product"]["id"] == "apple juice"
    stats = json.loads(tillsight("gallery", "stats", data_dir=data_dir).stdout)
    assert (stats["products"], stats["images"]) == (2, 3)
    told = tillsight("gallery", "history", "--product", "rye-bread", data_dir=data_dir)
    changes = [json.loads(line) for line in told.stdout.splitlines()]
    assert [change["kind"] for change in changes] == ["add image", "put product"]
    newest = tillsight("gallery", "history", "--limit", "1", data_dir=data_dir).stdout
    assert json.loads(newest)["sequence"] == stats["revision"]


def test_claims_are_verified_and_answers_explained(
    data_dir: Path, shop: Path, tmp_path: Path
) -> None:
    assert tillsight("gallery", "add", str(shop), data_dir=data_dir).returncode == 0
    photograph = str(shop / "apple juice" / "1.jpg")

    def claim(product: str) -> subprocess.CompletedProcess:
        return tillsight("verify", photograph, product, "--threshold", "0.97", data_dir=data_dir)

    right, wrong = claim("apple juice"), claim("rye-bread")
    assert (right.returncode, wrong.returncode) == (0, 1), right.stderr
    assert "match: apple juice, score 1.00, threshold 0.97" in right.stdout
    assert "no match: rye-bread" in wrong.stdout

    picture = tmp_path / "why.jpg"
    seen = tillsight("recognize", photograph, "--explain", str(picture), data_dir=data_dir)
    assert seen.returncode == 0, seen.stderr
    with Image.open(picture) as drawn:
        assert drawn.format == "JPEG"
    filtered = tillsight("recognize", photograph, "--where", "{store", data_dir=data_dir)
    assert filtered.returncode == 1
    assert "The filter is not JSON" in filtered.stderr
    few = tillsight("gallery", "calibration", data_dir=data_dir)
    assert few.returncode == 1
    assert "4 at least" in few.stderr


def test_a_calibration_is_told(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / "shop" / f"product {number}"
        folder.mkdir(parents=True)
        picture = Image.fromarray(pictures.noise(number))
        picture.save(folder / "bright.png")
        picture.point(lambda value: value // 2).save(folder / "dark.png")
    with running_service(tmp_path / "data", sample_gallery=False):
        added = tillsight("gallery", "add", str(tmp_path / "shop"), data_dir=tmp_path / "data")
        assert added.returncode == 0, added.stderr
        asked = ("gallery", "calibration", "--false-accept-rate", "0.3")
        told = tillsight(*asked, data_dir=tmp_path / "data")
        full = json.loads(tillsight(*asked, "--json", data_dir=tmp_path / "data").stdout)
    assert f"from a score of {full['threshold']:.3f} on" in told.stdout
    assert "From 12 references of 6 products" in told.stdout


def test_a_refused_file_is_named_and_the_others_are_kept(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "cheese"
    folder.mkdir(parents=True)
    (folder / "broken.jpg").write_bytes(b"not an image")
    (folder / "good.jpg").write_bytes(pictures.jpeg(7))
    added = tillsight("gallery", "add", str(tmp_path / "shop"), data_dir=data_dir)
    assert added.returncode == 1
    assert "1 image added, 0 were there already, 1 refused" in added.stdout
    assert "broken.jpg: This is not an image" in added.stdout


def test_pictures_that_are_not_read_are_named(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "milk"
    hidden = tmp_path / "shop" / "__MACOSX"
    for made in (folder, hidden, folder / "old.jpg"):
        made.mkdir(parents=True)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    for name, data in {
        "a.jfif": pictures.jpeg(20),
        "b.HEIC": heic,
        "c.tiff": pictures.encode(pictures.quarters(), "TIFF"),
        "d.JPG": pictures.jpeg(21),
        "e.heic": pictures.jpeg(22),
        "._d.JPG": b"shadow",
        "Thumbs.db": b"",
        ".DS_Store": b"",
        "notes.txt": b"",
    }.items():
        (folder / name).write_bytes(data)
    (hidden / "d.jpg").write_bytes(b"shadow")
    added = tillsight("gallery", "add", str(tmp_path / "shop"), data_dir=data_dir)
    assert added.returncode == 1
    shadow = tillsight("gallery", "history", "--product", "__MACOSX", data_dir=data_dir)
    assert shadow.stdout == ""
    archive = shutil.make_archive(str(tmp_path / "shop"), "zip", tmp_path / "shop")
    imported = tillsight("gallery", "import", archive, data_dir=data_dir)
    assert imported.returncode == 1
    assert "3 images added, 0 were there already, 2 refused" in added.stdout
    assert "0 images added, 3 were there already, 2 items refused" in imported.stdout
    for told in (added.stdout, imported.stdout):
        assert "b.HEIC: HEIC is not read. Set the iPhone to Most Compatible" in told
        assert "c.tiff: This is not an image that can be read" in told


def test_folders_of_a_mac_are_composed(data_dir: Path, tmp_path: Path) -> None:
    for number, product in enumerate(("cafe\u0301", "café")):
        folder = tmp_path / "shop" / product
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_bytes(pictures.jpeg(10 + number))
    added = tillsight("gallery", "add", str(tmp_path / "shop"), data_dir=data_dir)
    assert "2 images added" in added.stdout, added.stderr
    told = tillsight("gallery", "history", "--product", "café", data_dir=data_dir)
    assert told.stdout.count("add image") == 2


def test_an_archive_is_imported(data_dir: Path, shop: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "shop"), "zip", shop)
    dry = tillsight("gallery", "import", "--dry-run", archive, data_dir=data_dir)
    assert dry.returncode == 0, dry.stderr
    assert "products would be created, 0 would be changed" in dry.stdout
    assert "0 images added" in dry.stdout
    imported = tillsight("gallery", "import", archive, data_dir=data_dir)
    assert imported.returncode == 0, imported.stderr
    again = tillsight("gallery", "import", archive, data_dir=data_dir)
    assert "0 images added, 3 were there already, 0 items refused" in again.stdout
    (tmp_path / "no.zip").write_bytes(b"no archive")
    failed = tillsight("gallery", "import", str(tmp_path / "no.zip"), data_dir=data_dir)
    assert failed.returncode == 1
    assert "not a zip file" in failed.stderr


def test_a_terminal_shows_what_an_archive_says_and_does_not_obey_it(
    data_dir: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("\x1b]0;PWNED\x07\x1b[2J\n3 images\u202e/bad\x9b5m.jpg", b"")
        archive.writestr("products.csv", 'id,name,note\nkept,Kept,"\x9b31m Müsli \u202e"\n')
    imported = tillsight("gallery", "import", str(tmp_path / "bad.zip"), data_dir=data_dir)
    told = r"  \u001b]0;PWNED\u0007\u001b[2J\u000a3 images\u202e/bad\u009b5m.jpg: "
    assert told in imported.stdout
    history = tillsight("gallery", "history", "--product", "kept", data_dir=data_dir)
    assert r'"\u009b31m Müsli \u202e"' in history.stdout
    assert json.loads(history.stdout)["after"]["metadata"] == {"note": "\x9b31m Müsli \u202e"}
    for output in (imported.stdout, imported.stderr, history.stdout):
        assert not set(output) & set("\x1b\x07\x9b\u202e")


def test_an_export_brings_the_gallery_to_another_folder(
    data_dir: Path, shop: Path, tmp_path: Path
) -> None:
    assert tillsight("gallery", "add", str(shop), data_dir=data_dir).returncode == 0
    file = tmp_path / "gallery.zip"
    exported = tillsight("gallery", "export", str(file), data_dir=data_dir)
    assert exported.returncode == 0, exported.stderr
    assert [path.name for path in tmp_path.glob("*gallery.zip*")] == ["gallery.zip"]
    # No service there: the command starts its own.
    elsewhere = tmp_path / "elsewhere"
    imported = tillsight("gallery", "import", str(file), data_dir=elsewhere)
    assert imported.returncode == 0, imported.stderr
    assert "0 items refused" in imported.stdout
    assert "embedded again" not in imported.stdout
    photograph = str(shop / "rye-bread" / "3.jpg")
    answers = [
        json.loads(tillsight("recognize", photograph, "--json", data_dir=folder).stdout)["results"]
        for folder in (data_dir, elsewhere)
    ]
    assert answers[0] == answers[1]
    refused = tillsight("gallery", "export", str(tmp_path / "none" / "x.zip"), data_dir=data_dir)
    assert refused.returncode == 1
    assert "Can't write" in refused.stderr


def test_an_empty_folder_is_explained(data_dir: Path, tmp_path: Path) -> None:
    failed = tillsight("gallery", "add", str(tmp_path), data_dir=data_dir)
    assert failed.returncode == 1
    assert "Make one folder per product" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_second_service_on_the_same_folder_is_refused(data_dir: Path) -> None:
    second = tillsight("serve", "--port", "0", data_dir=data_dir)
    assert second.returncode == 1
    assert "already serves the data folder" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_gallery_is_one_process_s_whatever_their_data_folders(
    data_dir: Path, tmp_path: Path
) -> None:
    gallery = f"sqlite:///{data_dir / 'gallery'}"
    backup = str(tmp_path / "backup")
    made = tillsight("gallery", "backup", backup, data_dir=tmp_path / "data", gallery_url=gallery)
    assert made.returncode == 0, made.stderr
    for command in ("serve --port 0", f"gallery restore {backup}", "gallery reembed"):
        refused = tillsight(*command.split(), data_dir=tmp_path / "data", gallery_url=gallery)
        assert refused.returncode == 1
        assert f"has the gallery in {data_dir / 'gallery'} open" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_taken_port_is_said_at_once(running: RunningService, tmp_path: Path) -> None:
    port = running.url.rsplit(":", 1)[1]
    second = tillsight("serve", "--port", port, data_dir=tmp_path)
    assert second.returncode == 1
    assert "TILLSIGHT_PORT" in second.stderr


def test_backup_while_serving_and_restore(data_dir: Path, shop: Path, tmp_path: Path) -> None:
    assert tillsight("gallery", "add", str(shop), data_dir=data_dir).returncode == 0
    backup = str(tmp_path / "gallery.backup")
    made = tillsight("gallery", "backup", backup, data_dir=data_dir)
    assert made.returncode == 0, made.stderr
    refused = tillsight("gallery", "restore", backup, data_dir=data_dir)
    assert refused.returncode == 1
    assert "already serves the data folder" in refused.stderr
    elsewhere = tmp_path / "restored"
    restored = tillsight("gallery", "restore", backup, data_dir=elsewhere)
    assert restored.returncode == 0, restored.stderr
    seen = tillsight("recognize", str(shop / "rye-bread" / "3.jpg"), data_dir=elsewhere)
    assert "rye-bread" in seen.stdout
    (tmp_path / "foreign").write_bytes(b"not a backup")
    foreign = tillsight("gallery", "restore", str(tmp_path / "foreign"), data_dir=elsewhere)
    assert foreign.returncode == 1
    assert "Traceback" not in foreign.stderr
