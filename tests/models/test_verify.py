import subprocess
import sys

import pytest

from models.pack import PACK_FILE, sha256_of
from models.verify import verify_pack
from tests.models.tiny_packs import LEGACY, write_pack


def run(folder):
    return subprocess.run(
        [sys.executable, "-m", "models.verify", str(folder)], capture_output=True, text=True
    )


@pytest.mark.parametrize("detector", ["detector", "detector_im_shape"])
def test_a_sound_pack_passes_every_check(tmp_path, exported, detector):
    report = verify_pack(write_pack(tmp_path / "tiny", exported, detector=detector))
    assert report.passed
    assert [check.name for check in report.checks] == ["files", "detector", "embedder"]
    assert "512 numbers of length 1.0000" in report.checks[2].detail


def test_a_damaged_pack_is_not_loaded(pack_folder):
    (pack_folder / "detector.json").write_bytes(b"{}")
    report = verify_pack(pack_folder)
    assert not report.passed
    assert [check.name for check in report.checks] == ["files"]


def test_each_network_has_its_own_verdict(tmp_path, exported):
    report = verify_pack(write_pack(tmp_path / "short", exported, embedder="short_embedder"))
    assert [(check.name, check.passed) for check in report.checks] == [
        ("files", True),
        ("detector", True),
        ("embedder", False),
    ]
    assert "[1, 64]" in report.checks[2].detail


def test_as_a_program_it_answers_by_its_exit_status(tmp_path):
    ran = run(write_pack(tmp_path / "legacy", LEGACY))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    ran = run(tmp_path / "missing")
    assert ran.returncode == 1
    assert "is this a pack" in ran.stderr


def test_a_network_that_never_was_one_does_not_pass(tmp_path):
    folder = write_pack(tmp_path / "noise", LEGACY)
    model = folder / "embedder.pdmodel"
    old = sha256_of(model)
    model.write_bytes(bytes(range(7, 200)) * 20)  # Paddle dies on such files instead of raising
    manifest = folder / PACK_FILE
    manifest.write_text(manifest.read_text().replace(old, sha256_of(model)))
    assert run(folder).returncode != 0
