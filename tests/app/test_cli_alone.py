"""Commands where no service runs: they start one of their own, need none, or say what is wrong."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.pack import PACKS
from tests.app.commands import tillsight, write_shop
from tests.app.processes import service_environment


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_shop(tmp_path / "shop")


def test_a_terminal_does_not_obey_what_a_pack_or_a_mistake_says(tmp_path: Path) -> None:
    pack = tmp_path / "packs" / "strange"
    shutil.copytree(PACKS / "embedded", pack)
    manifest = (pack / "pack.toml").read_text()
    first = next(line for line in manifest.splitlines() if line.startswith("version"))
    (pack / "pack.toml").write_text(manifest.replace(first, r'version = "1\u001b[31m"'))
    listed = tillsight("models", "list", data_dir=tmp_path)
    assert r"1\u001b[31m" in listed.stdout
    assert "\x1b" not in listed.stdout
    failed = tillsight("serve", data_dir=tmp_path, port="\x1b[31m8", pack="\x1b[2J")
    assert failed.returncode == 1
    assert "\x1b" not in failed.stderr


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


def test_another_embedder_is_refused_until_the_gallery_is_embedded_again(
    tmp_path: Path, shop: Path
) -> None:
    data_dir = tmp_path / "data"
    assert tillsight("gallery", "add", str(shop), data_dir=data_dir).returncode == 0
    other = data_dir / "packs" / "other"
    shutil.copytree(PACKS / "embedded", other)
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
