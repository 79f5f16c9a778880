import json
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.app import pictures
from tests.app.processes import RunningService, running_service, service_environment

ROOT = Path(__file__).parents[2]


def tillsight(*arguments: str, data_dir: Path, **settings: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=service_environment(data_dir, **settings) | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


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
    for product, seeds in {"apple juice": (1, 2), "rye-bread": (3,)}.items():
        folder = tmp_path / "shop" / product
        folder.mkdir(parents=True)
        for seed in seeds:
            (folder / f"{seed}.jpg").write_bytes(pictures.jpeg(seed))
    return tmp_path / "shop"


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


def test_nor_what_a_pack_or_a_mistake_says(tmp_path: Path) -> None:
    pack = tmp_path / "packs" / "strange"
    shutil.copytree(ROOT / "models" / "packs" / "embedded", pack)
    manifest = (pack / "pack.toml").read_text()
    first = next(line for line in manifest.splitlines() if line.startswith("version"))
    (pack / "pack.toml").write_text(manifest.replace(first, r'version = "1\u001b[31m"'))
    listed = tillsight("models", "list", data_dir=tmp_path)
    assert r"1\u001b[31m" in listed.stdout
    assert "\x1b" not in listed.stdout
    failed = tillsight("serve", data_dir=tmp_path, port="\x1b[31m8", pack="\x1b[2J")
    assert failed.returncode == 1
    assert "\x1b" not in failed.stderr


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


def test_without_a_service_a_command_starts_its_own(tmp_path: Path, shop: Path) -> None:
    folder = tmp_path / "data"
    assert tillsight("gallery", "add", str(shop), data_dir=folder).returncode == 0
    photograph = str(shop / "rye-bread" / "3.jpg")
    seen = tillsight("recognize", photograph, data_dir=folder)
    assert "rye-bread" in seen.stdout


@pytest.mark.parametrize("seconds", [0.2, 1.0, 1.6, 2.2, 3.0])
def test_a_service_may_be_stopped_while_it_starts(tmp_path: Path, seconds: float) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
        env=service_environment(tmp_path, sample_gallery=True, log_level="warning"),
        stderr=subprocess.PIPE,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(timeout=seconds)
    started.terminate()
    _, errors = started.communicate(timeout=60)
    assert started.returncode in (0, -signal.SIGTERM)
    assert errors == b""


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


def test_another_embedder_is_refused_until_the_gallery_is_embedded_again(
    tmp_path: Path, shop: Path
) -> None:
    data_dir = tmp_path / "data"
    assert tillsight("gallery", "add", str(shop), data_dir=data_dir).returncode == 0
    other = data_dir / "packs" / "other"
    shutil.copytree(ROOT / "models" / "packs" / "embedded", other)
    manifest = (other / "pack.toml").read_text(encoding="utf-8")
    # Another interpolation is another embedder: its vectors differ.
    head, embedder = manifest.replace('name = "embedded"', 'name = "other"').split("[embedder]")
    assert 'interpolation = "area"' in embedder
    embedder = embedder.replace('interpolation = "area"', 'interpolation = "linear"')
    (other / "pack.toml").write_text(f"{head}[embedder]{embedder}", encoding="utf-8")

    photograph = str(shop / "rye-bread" / "3.jpg")
    refused = tillsight("recognize", photograph, data_dir=data_dir, pack="other")
    assert refused.returncode == 1
    assert "can't be compared" in refused.stderr
    done = tillsight("gallery", "reembed", data_dir=data_dir, pack="other")
    assert done.returncode == 0, done.stderr
    assert "3 images embedded" in done.stdout
    seen = tillsight("recognize", photograph, data_dir=data_dir, pack="other")
    assert "rye-bread" in seen.stdout
    assert tillsight("recognize", photograph, data_dir=data_dir).returncode == 1


def test_a_name_in_brackets_is_told_as_it_is(tmp_path: Path) -> None:
    shop = tmp_path / "[shop] [/old]"
    failed = tillsight("gallery", "backup", str(tmp_path / "backup"), data_dir=shop)
    assert failed.returncode == 1
    assert f"There is no gallery in {shop / 'gallery'}" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_settings_are_checked_in_words(tmp_path: Path) -> None:
    for setting, value, words in (
        ("port", "eight", "TILLSIGHT_PORT: Input should be a valid integer"),
        ("cors_origins", "till.example", "TILLSIGHT_CORS_ORIGINS: 'till.example' is no origin"),
    ):
        failed = tillsight("serve", data_dir=tmp_path, **{setting: value})
        assert failed.returncode == 1
        assert words in failed.stderr
        assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("gallery_url", "http://root:S3cr@t/Pw@127.0.0.1:99999"),
        ("gallery_pictures", "s3://AKIA:S3cr@t/Pw@/x y"),
    ],
)
def test_a_password_in_a_wrong_setting_is_not_told(
    tmp_path: Path, setting: str, value: str
) -> None:
    failed = tillsight("serve", data_dir=tmp_path, **{setting: value})
    assert failed.returncode == 1
    assert f"TILLSIGHT_{setting.upper()}" in failed.stderr
    assert "://***@" in failed.stderr
    assert not any(part in failed.stderr for part in ("root", "AKIA", "S3cr", "Pw"))


def test_packs_are_listed_and_verified(tmp_path: Path) -> None:
    listed = tillsight("models", "list", data_dir=tmp_path)
    assert "embedded" in listed.stdout
    verified = tillsight("models", "verify", data_dir=tmp_path)
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.count("ok ") == 3
    unknown = tillsight("models", "verify", "nonesuch", data_dir=tmp_path)
    assert unknown.returncode == 1
    assert "There is no pack 'nonesuch'" in unknown.stderr


def test_training_is_handed_over(tmp_path: Path) -> None:
    helped = tillsight("train", "detector", "--help", data_dir=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert "--architecture" in helped.stdout
    failed = tillsight(
        *("train", "detector", "--from", "embedded", "--run", str(tmp_path / "run")),
        *("--data", str(tmp_path / "none.json"), "--weights", str(tmp_path / "none.pdparams")),
        data_dir=tmp_path,
    )
    assert failed.returncode != 0
    assert "none.pdparams" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_fetch_says_what_to_do_without_internet(tmp_path: Path) -> None:
    # A closed port of this machine stands for an internet that does not answer.
    failed = tillsight("models", "fetch", "--from", "http://127.0.0.1:9", data_dir=tmp_path)
    assert failed.returncode == 1
    assert "--from" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "packs" / "pp-shituv2").exists()


@pytest.mark.parametrize(
    ("url", "key", "told"),
    [
        ("http://127.0.0.1:1", "tillsight_ü", "no key of TillSight"),
        ("http://[::1", "", "Can't ask http://[::1"),
    ],
)
def test_what_can_be_no_address_or_key_is_told_in_a_line(
    tmp_path: Path, url: str, key: str, told: str
) -> None:
    asked = tillsight("gallery", "stats", "--url", url, data_dir=tmp_path, api_key=key)
    assert asked.returncode == 1
    assert told in asked.stderr
    assert len(asked.stderr.splitlines()) == 1


def test_long_ids_are_shown_whole(shop: Path, tmp_path: Path) -> None:
    name = "a-long-" * 12 + "id"
    shutil.copytree(shop / "rye-bread", tmp_path / "long" / name)
    folder = tmp_path / "data"
    assert tillsight("gallery", "add", str(tmp_path / "long"), data_dir=folder).returncode == 0
    seen = tillsight("recognize", str(shop / "rye-bread" / "3.jpg"), data_dir=folder)
    first = [line.split("│")[1] for line in seen.stdout.splitlines() if line.startswith("│")]
    assert f"({name})" in "".join(part.strip() for part in first)
