"""`tillsight train` and `evaluate` as an operator calls them."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.client import CommandError
from app.cli.train import _fetch_gallery, _run, _with_default, _with_pack_folders
from models.pack import PACKS, Pack
from tests.app.commands import tillsight
from tests.app.processes import RunningService, running_service


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("samples") / "data") as service:
        yield service


def test_help_is_that_of_the_programs(tmp_path: Path) -> None:
    for words, option in (
        (("train", "embedder", "--help"), "--teacher"),
        (("train", "embedder", "--gallery", ".", "--help"), "--licence"),
        (("evaluate", "embedder", "--help"), "--references"),
    ):
        helped = tillsight(*words, data_dir=tmp_path)
        assert helped.returncode == 0, helped.stderr
        assert option in helped.stdout


def test_the_pack_of_the_settings_is_meant_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TILLSIGHT_PACK", "mine")
    assert _with_default("--from", ["--to", "x"]) == ["--from", "mine", "--to", "x"]
    for given in (["--from", "theirs"], ["--from=theirs"]):
        assert _with_default("--from", given) == given


def test_names_of_packs_become_their_folders(tmp_path: Path) -> None:
    embedded = str(PACKS / "embedded")
    for option in ("--from", "--pack", "--teacher"):
        assert _with_pack_folders([option, "embedded"]) == [option, embedded]
        assert _with_pack_folders([f"{option}=embedded"]) == [option, embedded]
    elsewhere = ["--from", str(tmp_path), "--run", "embedded", "--licence=embedded"]
    assert _with_pack_folders(elsewhere) == elsewhere


def test_a_program_that_is_interrupted_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -INT $PPID\nsleep 1\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert _run("embedding.train", []) == 7


def test_a_gallery_is_read_with_its_categories(samples: RunningService, tmp_path: Path) -> None:
    table = _fetch_gallery(samples.url, tmp_path)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    enrolled = samples.client.get("/gallery").json()
    assert len(rows) == enrolled["images"]
    assert len({row["product"] for row in rows}) == enrolled["products"] == 12
    assert {row["category"] for row in rows} >= {"lemonade", "muesli"}
    assert all((tmp_path / row["path"]).read_bytes()[:2] == b"\xff\xd8" for row in rows)


def test_where_there_is_no_gallery_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no gallery in"):
        _fetch_gallery(str(tmp_path / "none"), tmp_path)
    with pytest.raises(CommandError, match="9 broke off"):
        _fetch_gallery("http://127.0.0.1:9", tmp_path)


def test_the_sample_gallery_is_learnt_from_its_service(
    samples: RunningService, tmp_path: Path
) -> None:
    to = tmp_path / "my-shop"
    done = tillsight(
        *("train", "embedder", "--gallery", samples.url, "--to", str(to)),
        data_dir=tmp_path / "elsewhere",
    )
    assert "kept out" in done.stdout, done.stderr
    # Whether it helps depends on the embedded pack; that it says so, and writes accordingly, not.
    if done.returncode == 0:
        assert Pack.load(to).name == "my-shop"
    else:
        assert done.returncode == 1
        assert "No pack was written" in done.stderr
        assert not to.exists()
