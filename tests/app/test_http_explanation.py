import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.service import Service
from tests.app import pictures
from tests.app.problems import assert_problem


def test_what_matched_and_what_decided(shop: TestClient, service: Service) -> None:
    calibration = shop.get("/gallery/calibration?false_accept_rate=0.1").json()
    asked = {"detect": False, "top_k": 2, "false_accept_rate": 0.1}
    files = {"image": pictures.jpeg(1)}
    answer = shop.post("/explain", params=asked, files=files).json()
    plain = shop.post("/recognize", params=asked, files=files).json()
    passing = {"request_id", "timing_ms"}
    assert {k: v for k, v in answer["recognition"].items() if k not in passing} == {
        k: v for k, v in plain.items() if k not in passing
    }
    (result,), (matches,) = answer["recognition"]["results"], answer["matches"]
    assert [match["image_id"] for match in matches["best"]] == [
        image.id for image in service.gallery.list_images("shown")
    ]
    assert matches["best"][0]["score"] == pytest.approx(result["score"], abs=2e-4)
    second = result["candidates"][1]
    assert len(matches["runner_up"]) == 2
    assert matches["runner_up"][0]["image_id"] == second["image_id"]
    assert matches["runner_up"][0]["score"] == pytest.approx(second["score"], abs=2e-4)
    assert result["margin"] == pytest.approx(result["score"] - second["score"], abs=2e-4)

    assert answer["calibration"] == calibration
    assert answer["threshold"] == calibration["threshold"]
    assert answer["threshold_from"] == "calibration"
    assert answer["ambiguous_margin"] == service.pack.embedder.ambiguous_margin


def test_where_a_threshold_is_from(client: TestClient, service: Service) -> None:
    files = {"image": pictures.jpeg(1)}
    default = client.post("/explain", files=files).json()
    assert default["threshold"] == pytest.approx(
        service.pack.embedder.threshold.among(0, 0), abs=1e-4
    )
    assert (default["threshold_from"], default["calibration"]) == ("pack", None)
    assert default["matches"] == [{"best": [], "runner_up": []}]
    given = client.post("/explain?threshold=0.3", files=files).json()
    assert (given["threshold"], given["threshold_from"]) == (0.3, "request")


@pytest.mark.parametrize("products", [0, 1, 2])
def test_a_picture_to_look_at(client: TestClient, service: Service, products: int) -> None:
    for seed in range(1, products + 1):
        service.gallery.put_product(str(seed), "A product of a very long name " * 4, {})
        service.gallery.add_images(str(seed), [service.enroller.prepare(pictures.jpeg(seed))])
    answer = client.post("/explain/picture?detect=false", files={"image": pictures.jpeg(1)})
    assert answer.headers["content-type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
    assert picture.width >= 500
    # Beside the body, its references and the next product: pictures, not paper.
    row = picture.crop((0, picture.height - 300, picture.width, picture.height - 120))
    shown = np.count_nonzero((np.asarray(row) != 255).any(axis=2))
    assert shown > 15_000 * (products + 1)


def test_what_can_not_be_explained(client: TestClient) -> None:
    for path in ("/explain", "/explain/picture"):
        assert_problem(client.post(path, files={"image": b"no picture"}), 415, "unsupported-image")
