"""Local features kept in a file that may go, be damaged, or not be written."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app.kept_features import KeptFeatures
from models.local_features import DESCRIPTOR, LocalFeatures


def features(seed: int, count: int = 5) -> LocalFeatures:
    rng = np.random.default_rng(seed)
    descriptors = rng.integers(0, 256, (count, DESCRIPTOR), dtype=np.uint8)
    return LocalFeatures(rng.random((count, 2), dtype=np.float32), descriptors)


def same(one: LocalFeatures | None, other: LocalFeatures) -> bool:
    return (
        one is not None
        and np.array_equal(one.places, other.places)
        and np.array_equal(one.descriptors, other.descriptors)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.sqlite3"


@pytest.fixture
def kept(path: Path) -> Iterator[KeptFeatures]:
    with closing(KeptFeatures(path)) as kept:
        yield kept


def test_what_is_kept_is_there_after_a_restart(path: Path) -> None:
    with closing(KeptFeatures(path)) as kept:
        assert kept.get("a") is None
        kept.keep("a", features(1))
        kept.keep("none", features(2, count=0))
        kept.keep("a", features(3))
    with closing(KeptFeatures(path)) as kept:
        assert same(kept.get("a"), features(3))
        assert same(kept.get("none"), features(2, count=0))


def test_the_oldest_go(kept: KeptFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kept_features.MOST_KEPT", 3)
    for seed in range(10):
        kept.keep(str(seed), features(seed))
    assert [seed for seed in range(10) if kept.get(str(seed))] == [7, 8, 9]


@pytest.mark.parametrize("content", [b"no database" * 100, None], ids=["damaged", "other version"])
def test_another_file_is_made_anew(path: Path, content: bytes | None) -> None:
    if content is None:
        with closing(sqlite3.connect(path)) as db:
            db.executescript("CREATE TABLE features (other); PRAGMA user_version = 99;")
    else:
        path.write_bytes(content)
    with closing(KeptFeatures(path)) as kept:
        kept.keep("a", features(1))
    with closing(KeptFeatures(path)) as kept:
        assert same(kept.get("a"), features(1))


def test_without_a_file_it_goes_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.mkdir()
    with closing(KeptFeatures(path)) as kept:
        kept.keep("a", features(1))
        assert same(kept.get("a"), features(1))
    assert f"can't be kept in {path}" in caplog.text


def test_a_file_that_fails_is_told_once(
    path: Path, kept: KeptFeatures, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE features")
    for seed in range(3):
        kept.keep(str(seed), features(seed))
        assert kept.get(str(seed)) is None
    assert caplog.text.count("can't be kept") == 1
