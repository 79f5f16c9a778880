import io
import shutil

import numpy as np
from PIL import Image

from bench import audit
from bench.audit import Tally
from bench.planted import _ALTERED, DUPLICATES, MISLABELLED, SPLIT, plant
from models.pack import PACK_FILE, PACKS, Pack
from models.training.open_data import Photo
from tests.app import pictures


def photos(folder, products: int, each: int) -> list[Photo]:
    made = []
    for number in range(products * each):
        path = folder / f"{number}.jpg"
        path.write_bytes(pictures.jpeg(number))
        made.append(Photo(path, "train", f"p{number % products:02}", str(path)))
    return made


def test_faults_are_planted_as_many_as_said_and_never_two_in_one_reference(tmp_path) -> None:
    shown = photos(tmp_path, 30, 8)
    planted = plant(shown, seed=1)
    assert len(planted.entries) == len(shown) + sum(DUPLICATES.values())
    assert len(planted.mislabelled) == MISLABELLED
    assert len(planted.look_alikes) == SPLIT
    assert sorted(planted.duplicates.values()) == sorted(
        how for how, count in DUPLICATES.items() for _ in range(count)
    )
    touched = [place for pair in planted.duplicates for place in pair]
    assert len(set(touched)) == len(touched)
    assert not planted.mislabelled & set(touched)
    for place in planted.mislabelled:
        assert planted.entries[place].product != shown[place].identity
    for pair, how in planted.duplicates.items():
        one, copy = (planted.entries[place] for place in sorted(pair))
        same_file = how == "same file"
        assert (one.data == copy.data) == same_file
        assert (one.product != copy.product) == same_file
    names = {entry.product for entry in planted.entries}
    assert all(pair <= names for pair in planted.look_alikes)
    again = plant(shown, seed=1)
    assert again.entries == planted.entries


def test_copies_are_altered_as_their_name_says() -> None:
    data = pictures.encode(Image.fromarray(pictures.noise(3, 400, 300)), "JPEG", quality=95)
    opened = {how: Image.open(io.BytesIO(change(data))) for how, change in _ALTERED.items()}
    assert opened["saved smaller"].size == (200, 150)
    assert opened["cut by 3 %"].size == (400 - 24, 300 - 18)
    plain = np.asarray(Image.open(io.BytesIO(data)), float).mean()
    assert np.asarray(opened["lighter"], float).mean() > 1.1 * plain


def test_false_alarms_are_what_was_told_and_never_planted() -> None:
    tally = Tally()
    tally.add({1, 2, 3}, {2, 3, 8, 9}, 100, excused={9})
    assert (tally.planted, tally.found, tally.told, tally.false) == (3, 2, 4, 1)
    assert tally.row("faults", "references") == [
        "faults",
        "2 of 3 (66.7%)",
        "1 of 4 told (25.0%)",
        "1.0000% of 100 references",
    ]


def test_the_service_that_is_audited_has_the_pack_that_was_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(audit, "_LARGE", 40)
    monkeypatch.setattr(audit, "ALONE_SECONDS", 0.5)
    # Another pack in a folder of the same name, as a recipe leaves it.
    folder = shutil.copytree(PACKS / "embedded", tmp_path / "embedded")
    manifest = folder / PACK_FILE
    head, table, embedder = manifest.read_text().partition("[embedder]")
    manifest.write_text(head + table + embedder.replace("scale = ", "scale = 2.0 # ", 1))
    assert "40 made references of 10 products" in audit.speed(Pack.load(folder), threads=1)
