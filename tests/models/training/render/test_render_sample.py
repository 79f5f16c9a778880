"""The sample gallery in the repository is whole and says what the renderer's shelf says."""

import csv
import json
from pathlib import Path

import cv2

from models.training.render.sample import query_scenes, shelf, title

SAMPLES = Path(__file__).parents[4] / "app" / "samples"


def test_products_are_those_of_the_shelf() -> None:
    with (SAMPLES / "products.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["name"]) for row in rows] == [(s.id, title(s)) for s in shelf()]
    assert all(set(json.loads(row["metadata"])) == {"brand", "category", "size"} for row in rows)
    assert len({row["name"] for row in rows}) == len(rows) == 12


def test_every_product_has_four_references() -> None:
    folders = sorted(path.name for path in (SAMPLES / "references").iterdir())
    assert folders == sorted(spec.id for spec in shelf())
    for folder in (SAMPLES / "references").iterdir():
        pictures = sorted(folder.iterdir())
        assert [picture.name for picture in pictures] == [f"{n:02d}.jpg" for n in range(1, 5)]
        for picture in pictures:
            image = cv2.imread(str(picture))
            assert image is not None
            assert image.shape == (480, 480, 3)


def test_scenes_and_their_truth_agree() -> None:
    truth = json.loads((SAMPLES / "scenes" / "annotations.json").read_text(encoding="utf-8"))
    known = {spec.id for spec in shelf()}
    scenes = list(query_scenes())
    assert [entry["file"] for entry in truth["images"]] == sorted(
        path.name for path in (SAMPLES / "scenes").glob("*.jpg")
    )
    for entry, scene in zip(truth["images"], scenes, strict=True):
        image = cv2.imread(str(SAMPLES / "scenes" / entry["file"]))
        assert image is not None
        assert image.shape == (entry["height"], entry["width"], 3)
        placed = [placement.product.id for placement in scene.placements]
        assert [seen["product_id"] for seen in entry["objects"]] == placed
        for seen in entry["objects"]:
            x1, y1, x2, y2 = seen["box"]
            assert 0 <= x1 < x2 <= entry["width"]
            assert 0 <= y1 < y2 <= entry["height"]
            assert seen["in_gallery"] == (seen["product_id"] in known)
            assert 0.3 < seen["visible_fraction"] <= 1
    strangers = [seen for entry in truth["images"] for seen in entry["objects"]]
    assert sum(not seen["in_gallery"] for seen in strangers) == 1


def test_the_gallery_is_small() -> None:
    total = sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file())
    assert total < 3_000_000
