from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from app.service import Service
from tests.app import pictures
from tests.app.problems import assert_problem

FIELDS = {
    "request_id",
    "image",
    "product",
    "outcome",
    "score",
    "threshold",
    "no_match_threshold",
    "probability",
    "margin",
    "image_id",
    "rival",
    "box",
    "box_source",
    "gallery_revision",
    "timing_ms",
    "model",
}


def test_a_claim_is_right_or_wrong(shop: TestClient, service: Service) -> None:
    asked = {"product_id": "shown", "false_accept_rate": 0.1}
    right = shop.post("/verify", params=asked, files={"image": pictures.jpeg(1)}).json()
    assert set(right) == FIELDS
    assert right["outcome"] == "match"
    assert right["product"] == {"id": "shown", "name": "Shown", "metadata": {"shelf": "shown"}}
    assert right["score"] == pytest.approx(1, abs=1e-3)
    assert right["score"] >= right["threshold"]
    assert right["image_id"] == service.gallery.list_images("shown")[0].id
    assert right["box"] == {"x1": 0, "y1": 0, "x2": 120, "y2": 90}
    assert right["rival"]["product_id"] != "shown"
    assert right["margin"] == pytest.approx(right["score"] - right["rival"]["score"], abs=2e-4)

    wrong = shop.post(
        "/verify", params=asked | {"product_id": "p03"}, files={"image": pictures.jpeg(1)}
    ).json()
    assert wrong["outcome"] in ("no_match", "uncertain")
    assert wrong["rival"]["product_id"] == "shown"
    assert wrong["probability"] < right["probability"]


def test_a_product_that_is_not_sold_now_is_no_rival(client: TestClient, service: Service) -> None:
    """The old package is what the photograph shows; its successor was scanned."""
    for name, seed, sold in (("old", 1, False), ("new", 2, True)):
        service.gallery.put_product(name, name, {"sold": sold})
        service.gallery.add_images(name, [service.enroller.prepare(pictures.jpeg(seed))])
    query = {"product_id": "new", "threshold": -1}
    outcomes = []
    for asked in (query, query | {"where": '{"sold": true}'}):
        answer = client.post("/verify", params=asked, files={"image": pictures.jpeg(1)}).json()
        outcomes.append((answer["outcome"], (answer["rival"] or {}).get("product_id")))
    assert outcomes == [("uncertain", "old"), ("match", None)]


def test_the_rate_is_that_of_the_products_that_are_asked_for(shop: TestClient) -> None:
    query = {"product_id": "shown", "false_accept_rate": 0.2}
    among_all, among_few = (
        shop.post("/verify", params=query | more, files={"image": pictures.jpeg(1)}).json()
        for more in ({}, {"where": '{"shelf": "low"}'})
    )
    assert among_few["threshold"] != among_all["threshold"]
    assert among_few["rival"]["metadata"] == {"shelf": "low"}


def test_with_a_threshold_nothing_is_calibrated(client: TestClient, service: Service) -> None:
    service.gallery.put_product("shown", "Shown", {})
    service.gallery.add_images("shown", [service.enroller.prepare(pictures.jpeg(1))])
    for seed, outcome in ((1, "match"), (2, "no_match")):
        answer = client.post(
            "/verify",
            params={"product_id": "shown", "threshold": 0.97},
            files={"image": pictures.jpeg(seed)},
        ).json()
        assert (answer["outcome"], answer["threshold"]) == (outcome, 0.97)
        assert answer["probability"] is answer["rival"] is answer["margin"] is None


def test_what_can_not_be_verified(shop: TestClient, service: Service) -> None:
    def ask(**query: object) -> object:
        return shop.post("/verify", params=query, files={"image": pictures.jpeg(1)})

    assert_problem(ask(product_id="nothing"), 404, "unknown-product")
    assert_problem(ask(), 422, "invalid-request")
    both = ask(product_id="shown", threshold=0.5, false_accept_rate=0.1)
    assert "not both" in assert_problem(both, 422, "invalid-request")["detail"]
    # The references can't tell so small a rate, but what is known of the embedder can.
    usual, finer = (
        ask(product_id="shown", false_accept_rate=rate).json() for rate in (0.05, 0.001)
    )
    assert finer["threshold"] > usual["threshold"]

    service.gallery.put_product("bare", "Bare", {})
    bare = ask(product_id="bare").json()
    assert (bare["outcome"], bare["score"], bare["box"]) == ("uncertain", None, None)


def test_a_gallery_too_small_to_calibrate(client: TestClient, service: Service) -> None:
    service.gallery.put_product("shown", "Shown", {})
    service.gallery.add_images("shown", [service.enroller.prepare(pictures.jpeg(1))])
    # Until it is known that there is none, the calibration of before goes on.
    assert_problem(client.get("/gallery/calibration"), 409, "gallery-too-small")

    def ask(seed: int, **asked: object) -> dict:
        query = {"product_id": "shown", **asked}
        answer = client.post("/verify", params=query, files={"image": pictures.jpeg(seed)})
        assert answer.status_code == 200
        return answer.json()

    right, wrong = ask(1), ask(2)
    assert right["outcome"] == "match"
    known = service.pack.embedder.threshold.at_rate(0.05, 1, 1)
    assert right["threshold"] == pytest.approx(known, abs=1e-4)
    assert right["no_match_threshold"] is right["probability"] is None
    assert (wrong["score"] < wrong["threshold"]) == (wrong["outcome"] == "uncertain")
    assert ask(1, false_accept_rate=0.005)["threshold"] > right["threshold"]


def test_a_pack_that_says_nothing_of_rates(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.gallery.put_product("shown", "Shown", {})
    embedder = service.pack.embedder.model_copy(update={"match_growth": 0.0})
    manifest = service.pack.manifest.model_copy(update={"embedder": embedder})
    monkeypatch.setattr(service, "pack", replace(service.pack, manifest=manifest))
    for path in ("/verify?product_id=shown", "/recognize?false_accept_rate=0.05"):
        answer = client.post(path, files={"image": pictures.jpeg(1)})
        assert_problem(answer, 409, "gallery-too-small")
