import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from starlette.testclient import TestClient

from app.enrolment.guard import Guard, check_contrast, sharpness
from app.sample import SAMPLES
from app.service import Service
from app.settings import Settings
from tests.app import pictures
from tests.app.problems import assert_problem

CRISPS, COFFEE = (
    [path.read_bytes() for path in sorted((SAMPLES / "references" / name).glob("*.jpg"))]
    for name in ("jorima-herbs-crisps", "lumiva-coffee-coffee")
)


def changed(data: bytes, *, blur: float = 0, side: int | None = None) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        picture = image.filter(ImageFilter.GaussianBlur(blur * max(image.size)))
        if side:
            picture = picture.resize((side, side))
        return pictures.encode(picture, "JPEG", quality=90)


def add(client: TestClient, product: str, *files: bytes, **query: object) -> dict:
    client.put(f"/gallery/products/{product}", json={"name": product})
    answer = client.post(
        f"/gallery/products/{product}/images",
        files=[("images", data) for data in files],
        params=query,
    )
    assert answer.is_success, answer.text
    return answer.json()


def doubts(answer: dict) -> list[list[str]]:
    return [[warning["code"] for warning in item["warnings"]] for item in answer["images"]]


@pytest.fixture
def strict(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings = Settings(refuse_references="blurred, look-alike")
    guard = Guard(service.gallery, service.pack.embedder, settings.refused_doubts)
    monkeypatch.setattr(service, "guard", guard)
    return


def test_a_good_reference_has_no_warnings(client: TestClient) -> None:
    assert doubts(add(client, "crisps", *CRISPS)) == [[]] * len(CRISPS)


def test_each_doubt_is_told_and_the_reference_added(client: TestClient) -> None:
    answer = add(
        client,
        "crisps",
        changed(CRISPS[0], blur=0.02),
        changed(CRISPS[0], side=64),
        pictures.encode(Image.linear_gradient("L").resize((300, 300)), "JPEG"),
    )
    found = doubts(answer)
    assert "blurred" in found[0]
    assert "too-small" in found[1]
    assert {"blurred", "no-body"} <= set(found[2])
    assert client.get("/gallery/products/crisps").json()["image_count"] == 3


def plain(level: int, noise: float = 0) -> bytes:
    levels = np.random.default_rng(0).normal(level, noise, (600, 800, 3))
    return pictures.encode(Image.fromarray(levels.clip(0, 255).astype(np.uint8)), "JPEG")


def test_a_photograph_of_nothing_is_no_reference(client: TestClient) -> None:
    add(client, "crisps", CRISPS[0])
    for nothing in (plain(0), plain(8), plain(255), plain(12, noise=8)):
        answer = add(client, "crisps", CRISPS[1], nothing, dry_run=True)
        assert answer["images"][1]["error"]["code"] == "plain-image"
        alone = client.post("/gallery/products/crisps/images", files={"images": nothing})
        assert_problem(alone, 422, "plain-image")
    assert client.get("/gallery/products/crisps").json()["image_count"] == 1


def test_what_is_seen_at_all_is_a_reference() -> None:
    white_on_white = np.full((600, 800, 3), 250, np.uint8)
    white_on_white[200:400, 300:500] = 238
    check_contrast(white_on_white)
    # No darker than its ground, but red.
    red_on_grey = np.full((200, 200, 3), 128, np.uint8)
    red_on_grey[50:150, 50:150] = (200, 97, 90)
    check_contrast(red_on_grey)


def test_a_reference_like_another_product_is_told(client: TestClient) -> None:
    add(client, "crisps", *CRISPS[:2])
    client.put("/gallery/products/crisps", json={"name": "Crisps"})
    answer = add(client, "coffee", CRISPS[2])
    assert doubts(answer) == [["look-alike"]]
    (warning,) = answer["images"][0]["warnings"]
    assert warning["product_id"] == "crisps"
    assert "like Crisps, 'crisps' (" in warning["detail"]
    # One of its own that is nearer ends the doubt.
    assert doubts(add(client, "coffee", CRISPS[2])) == [[]]


@pytest.mark.usefixtures("strict")
def test_what_is_to_be_refused_is(client: TestClient) -> None:
    add(client, "crisps", CRISPS[0])
    answer = add(client, "coffee", COFFEE[0], CRISPS[1])
    good, refused = answer["images"]
    assert good["warnings"] == []
    assert refused["error"]["code"] == "doubtful-reference"
    assert [doubt["code"] for doubt in refused["error"]["errors"]] == ["look-alike"]
    alone = client.post(
        "/gallery/products/coffee/images", files={"images": changed(COFFEE[1], blur=0.02)}
    )
    assert_problem(alone, 422, "doubtful-reference")
    assert client.get("/gallery/products/coffee").json()["image_count"] == 1


def test_a_dry_run_tells_the_effect_and_adds_nothing(client: TestClient) -> None:
    add(client, "crisps", *CRISPS[:2])
    add(client, "coffee", *COFFEE[:2])
    revision = client.get("/gallery").json()["revision"]
    good = add(client, "crisps", CRISPS[2], dry_run=True)
    assert good["effect"]["recall_before"] == good["effect"]["recall_after"] == 1
    wrong = add(client, "coffee", CRISPS[2], dry_run=True)
    assert doubts(wrong) == [["look-alike"]]
    assert wrong["effect"]["recall_after"] < 1
    missed = {(m["product_id"], m["other_product_id"]) for m in wrong["effect"]["newly_missed"]}
    assert ("coffee", "crisps") in missed
    assert client.get("/gallery/products/coffee").json()["image_count"] == 2
    gallery = client.get("/gallery").json()
    assert (gallery["images"], gallery["revision"]) == (4, revision)


def test_an_unknown_doubt_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="none of look-alike, no-body"):
        Settings(refuse_references="ugly")
    assert Settings(refuse_references=" no-body ,blurred").refused_doubts == ["no-body", "blurred"]


def test_sharpness_falls_with_blur_and_is_none_on_an_even_ground(samples: Path) -> None:
    with Image.open(next((samples / "scenes").glob("*.jpg"))) as scene:
        blurs = [
            sharpness(np.asarray(scene.filter(ImageFilter.GaussianBlur(radius))))
            for radius in (0, 2, 8)
        ]
    assert blurs[0] > 0.02 > blurs[2]
    assert blurs == sorted(blurs, reverse=True)
    assert sharpness(np.full((40, 50, 3), 128, np.uint8)) == 0
