"""`tillsight gallery audit` against a service with the sample gallery and a fault in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sample import SAMPLES
from tests.app.commands import tillsight
from tests.app.processes import RunningService, running_service

CRISPS, COFFEE = "jorima-herbs-crisps", "lumiva-coffee-coffee"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("audit") / "data") as service:
        yield service


@pytest.fixture
def data_dir(running: RunningService) -> Path:
    return running.log.parent / "data"


def test_faults_are_listed_and_gone_when_they_are_mended(
    running: RunningService, data_dir: Path
) -> None:
    wrong = (SAMPLES / "references" / CRISPS / "02.jpg").read_bytes()
    added = running.client.post(f"/gallery/products/{COFFEE}/images", files={"images": wrong})
    image_id = added.json()["images"][0]["id"]

    shown = tillsight("gallery", "audit", data_dir=data_dir)
    assert shown.returncode == 0, shown.stderr
    assert "49 references of 12 products" in shown.stdout
    assert "found by them (recall@1)" in shown.stdout
    same = shown.stdout.partition("The same picture:")[2].splitlines()[1]
    assert image_id in same
    assert {CRISPS, COFFEE} <= set(same.split())
    found = json.loads(tillsight("gallery", "audit", "--json", data_dir=data_dir).stdout)
    assert found["images"] == 49
    assert image_id in [item["image_id"] for item in found["mislabelled"]]
    assert f"{image_id} of {COFFEE}" in shown.stdout.partition("wrong product")[2]

    running.client.delete(f"/gallery/images/{image_id}")
    mended = tillsight("gallery", "audit", data_dir=data_dir)
    assert "48 references of 12 products" in mended.stdout
    assert image_id not in mended.stdout


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    refused = tillsight("gallery", "audit", "--url", "http://127.0.0.1:9", data_dir=tmp_path)
    assert refused.returncode == 1
    assert "Error:" in refused.stderr
