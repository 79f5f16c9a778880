"""The legacy route, with what Paddle 2.6.2 once wrote in place of that environment."""

import shutil

import pytest

from models.errors import ModelError
from models.pack import sha256_of
from models.training.legacy import export_legacy
from tests.models.tiny_networks import DETECTOR_SIDE, EMBEDDER_SIDE, GridDetector, QuarterEmbedder
from tests.models.tiny_packs import LEGACY


def interpreter(path, script):
    """A program in place of a Python: its arguments are -m, module, weights, folder, stem, size."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path, exported):
    for file in exported.glob("*etector.*"):
        shutil.copy(file, tmp_path)
    for file in exported.glob("embedder.*"):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("stem", "network", "side"),
    [("embedder", QuarterEmbedder, EMBEDDER_SIDE), ("detector", GridDetector, DETECTOR_SIDE)],
)
def test_the_legacy_program_takes_the_place_of_the_new_one(folder, stem, network, side):
    python = interpreter(folder / "python", f"cp {LEGACY}/$5.* $4/ && test -s $3")
    hashes = export_legacy(network(), folder, stem, (side, side), python)
    assert hashes.keys() == {f"{stem}.pdmodel", f"{stem}.pdiparams"}
    assert all(sha256_of(folder / name) == digest for name, digest in hashes.items())
    assert not (folder / f"{stem}.json").exists()


def test_a_program_that_answers_otherwise_is_not_taken(folder, exported):
    shutil.copy(exported / "short_embedder.json", folder / "embedder.json")
    shutil.copy(exported / "short_embedder.pdiparams", folder / "embedder.pdiparams")
    python = interpreter(folder / "python", f"cp {LEGACY}/$5.* $4/")
    with pytest.raises(ModelError, match="answers otherwise"):
        export_legacy(QuarterEmbedder(), folder, "embedder", (EMBEDDER_SIDE,) * 2, python)
    assert (folder / "embedder.json").exists()


def test_an_interpreter_that_fails_says_why(folder):
    python = interpreter(folder / "python", "echo 'No module named paddle' >&2; exit 1")
    with pytest.raises(ModelError, match="could not write the legacy format: No module named"):
        export_legacy(QuarterEmbedder(), folder, "embedder", (EMBEDDER_SIDE,) * 2, python)
    assert (folder / "embedder.json").exists()
