"""The walk through docs/shop.md, as it is written, with the sample's photographs as the shop's."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.documents import ROOT, json_documents, read, run, shell_blocks
from tests.app.processes import RunningService, running_service

REFERENCES = ROOT / "app" / "samples" / "references"
# What its lines of products.csv call them.
SHOP = {
    "4006381333931": "rorista-orange-lemonade",
    "4006381333948": "joradan-blueberry-muesli",
    "4006381333955": "kanatto-strawberry-jam",
    "0000000000000": "jolefin-tomato-sauce",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("shop")
    (table,) = re.findall(r"```csv\n(.*?)```", read("docs/shop.md"), re.DOTALL)
    for product_id, sample in SHOP.items():
        shutil.copytree(REFERENCES / sample, folder / "photographs" / product_id)
    (folder / "photographs" / "products.csv").write_text(table)
    shutil.copy(ROOT / "app" / "samples" / "scenes" / "scene-1.jpg", folder / "photograph.jpg")
    with running_service(folder / "data", sample_gallery=False) as service:
        yield service


def step(word: str, running: RunningService) -> str:
    (block,) = shell_blocks("docs/shop.md", word)
    beside = f"export PATH={Path(sys.executable).parent}:$PATH\n"
    return run(beside + block, running, running.log.parent)


def test_from_folders_to_a_till_that_recognises(running: RunningService) -> None:
    enrolled = step("--dry-run", running)
    assert enrolled.count("0 were there already, 0 items refused.") == 2
    assert "16 images added" in enrolled
    assert '"products": 4' in enrolled
    muesli = running.client.get("/gallery/products/4006381333948").json()
    assert muesli["name"] == "Blueberry muesli 500 g"
    assert muesli["metadata"] == {"department": "breakfast"}
    assert running.client.get("/gallery/products/4006381333955").json()["metadata"] == {}
    assert "recall" in step("gallery audit", running).lower()
    (calibrated,) = json_documents(step("gallery/calibration", running))
    assert {"threshold", "expected_miss_rate", "interval"} <= calibrated.keys()
    (answer,) = json_documents(step("X-Request-ID", running))
    assert answer["request_id"] == "till-1-000042"
    assert answer["results"][0]["product"]["id"] == "4006381333931"
    image_id = answer["results"][0]["candidates"][0]["image_id"]
    assert running.client.get(f"/gallery/images/{image_id}/thumbnail").is_success
    (said,) = json_documents(step("/feedback", running))
    assert said["verdict"] == "right"


def test_the_other_way_in_calls_a_product_by_its_id(running: RunningService) -> None:
    tree = running.log.parent / "more"
    shutil.copytree(REFERENCES / "jorima-herbs-crisps", tree / "4006381333962")
    command = f"{Path(sys.executable).parent}/tillsight gallery add more/"
    assert "4 images added" in run(command, running, running.log.parent)
    assert running.client.get("/gallery/products/4006381333962").json()["name"] == "4006381333962"


def test_only_what_is_on_the_menu_is_looked_for(running: RunningService) -> None:
    assert "2 changed" in step("menu.zip", running)
    (answer,) = json_documents(step("--url-query", running))
    (result,) = answer["results"]
    assert result["product"]["metadata"]["menu"] == "2026-12-01"
    offered = {candidate["product_id"] for candidate in result["candidates"]}
    assert offered == {"4006381333931", "4006381333955"}


def test_a_product_gets_another_id(running: RunningService) -> None:
    assert "4 images added" in step("renamed.zip", running)
    renamed = running.client.get("/gallery/products/4006381333979").json()
    assert (renamed["name"], renamed["image_count"]) == ("Blueberry muesli 500 g", 4)
    assert running.client.get("/gallery/products/4006381333948").status_code == 404
