import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gallery import snapshot
from gallery.base import Base, BaseBuilder
from gallery.errors import StorageFailed
from gallery.store import State
from gallery.vectors import stored_vectors
from tests.gallery.samples import DIMENSION, FINGERPRINT, flip_byte, vectors_of

STATE = State("a gallery", FINGERPRINT, DIMENSION, sequence=50, replay_floor=0, history_floor=0)


def base(sequence: int, count: int = 20) -> Base:
    builder = BaseBuilder(DIMENSION)
    numbers = np.arange(count)
    builder.add(stored_vectors(vectors_of(sequence, count), DIMENSION), numbers + 3, numbers // 4)
    return builder.finish(sequence=sequence, last_vector=count + 5)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    written = base(7)
    assert snapshot.write(tmp_path, written, STATE) == 7
    read = snapshot.load_newest(tmp_path, STATE)
    assert read is not None
    for name in ("vectors", "images", "products"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert (read.sequence, read.last_vector) == (7, 25)


def test_a_base_without_rows_can_be_kept(tmp_path: Path) -> None:
    builder = BaseBuilder(DIMENSION)
    snapshot.write(tmp_path, builder.finish(sequence=3, last_vector=9), STATE)
    read = snapshot.load_newest(tmp_path, STATE)
    assert read is not None
    assert (len(read), read.last_vector) == (0, 9)


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    floors = [snapshot.write(tmp_path, base(sequence), STATE) for sequence in (5, 9, 12)]
    assert floors == [5, 5, 9]
    assert names(tmp_path) == ["snapshot-0000000000000009", "snapshot-0000000000000012"]


def test_the_same_sequence_is_replaced(tmp_path: Path) -> None:
    snapshot.write(tmp_path, base(5), STATE)
    flip_byte(tmp_path / "snapshot-0000000000000005" / "rows.npy", 140)
    snapshot.write(tmp_path, base(5), STATE)
    assert snapshot.load_newest(tmp_path, STATE) is not None


@pytest.mark.parametrize("name", ["base.faiss", "rows.npy", "manifest.json"])
def test_any_flipped_byte_is_found(tmp_path: Path, name: str) -> None:
    kept = tmp_path / "kept"
    snapshot.write(kept, base(7, count=4), STATE)
    size = (kept / "snapshot-0000000000000007" / name).stat().st_size
    for position in range(0, size, 3 if name == "manifest.json" else 7):
        tried = tmp_path / "tried"
        shutil.copytree(kept, tried)
        flip_byte(tried / "snapshot-0000000000000007" / name, position, 1 << position % 8)
        read = snapshot.load_newest(tried, STATE)
        # Only white space of the manifest may change unnoticed, and it means nothing.
        assert read is None or (name == "manifest.json" and read.sequence == 7)
        shutil.rmtree(tried)


@pytest.mark.parametrize("name", ["base.faiss", "rows.npy", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "shorter", "longer", "a folder"])
def test_an_older_one_is_used_when_the_newest_is_damaged(
    tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot.write(tmp_path, base(5), STATE)
    snapshot.write(tmp_path, base(9), STATE)
    path = tmp_path / "snapshot-0000000000000009" / name
    data = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "shorter": data[:-1], "longer": data + b"\0"}[damage])
    with caplog.at_level(logging.WARNING):
        read = snapshot.load_newest(tmp_path, STATE)
    assert read is not None
    assert read.sequence == 5
    assert "snapshot-0000000000000009 is not used" in caplog.text
    assert names(tmp_path) == ["snapshot-0000000000000005"]


@pytest.mark.parametrize(
    "state",
    [
        replace(STATE, gallery="another"),
        replace(STATE, fingerprint="fedcba9876543210"),
        replace(STATE, dimension=4),
        replace(STATE, sequence=8),
        replace(STATE, replay_floor=10),
    ],
)
def test_what_does_not_fit_the_database_is_not_used(tmp_path: Path, state: State) -> None:
    snapshot.write(tmp_path, base(9), STATE)
    assert snapshot.load_newest(tmp_path, state) is None
    assert names(tmp_path) == []


def test_another_format_is_not_used(tmp_path: Path) -> None:
    snapshot.write(tmp_path, base(9), STATE)
    path = tmp_path / "snapshot-0000000000000009" / "manifest.json"
    manifest = json.loads(path.read_text())
    for key, value in (("format", 4), ("kind", "another")):
        changed = {**manifest, key: value}
        del changed["sha256"]
        changed["sha256"] = snapshot._digest(changed)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(changed))
        assert snapshot.load_newest(tmp_path, STATE) is None


def test_what_a_crash_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    snapshot.write(tmp_path, base(9), STATE)
    (tmp_path / "partial-1234").mkdir()
    (tmp_path / "partial-1234" / "base.faiss").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("somebody's own")
    assert snapshot.load_newest(tmp_path, STATE) is not None
    assert names(tmp_path) == ["notes.txt", "snapshot-0000000000000009"]


def test_nothing_there_is_no_snapshot(tmp_path: Path) -> None:
    assert snapshot.load_newest(tmp_path / "nowhere", STATE) is None


def test_a_disk_that_refuses_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("a file in the way")
    with pytest.raises(StorageFailed, match="Nothing is lost"):
        snapshot.write(tmp_path / "index", base(9), STATE)
