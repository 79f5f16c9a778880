import time
from functools import partial
from threading import Event
from typing import NoReturn

import pytest
from starlette.testclient import TestClient

from app.calibration import calibrator
from app.calibration.impostors import GalleryTooSmall
from app.service import Service
from tests.app import pictures
from tests.app.problems import assert_problem

FIELDS = {
    "threshold",
    "expected_false_accept_rate",
    "expected_miss_rate",
    "interval",
    "genuine",
    "impostors",
    "products",
    "gallery_revision",
    "model",
}


def test_a_rate_is_answered_with_its_threshold(shop: TestClient, service: Service) -> None:
    answer = shop.get("/gallery/calibration", params={"false_accept_rate": 0.1}).json()
    assert set(answer) == FIELDS
    assert (answer["genuine"], answer["impostors"], answer["products"]) == (30, 31, 16)
    assert answer["expected_false_accept_rate"] >= 0.1
    assert answer["gallery_revision"] == service.gallery.stats().revision
    assert answer["model"] == service.model
    assert 0 <= answer["interval"][0] <= 0.1 <= answer["interval"][1] < 0.5
    assert 0 <= answer["expected_miss_rate"] <= 1
    strict = shop.get("/gallery/calibration").json()
    assert strict["threshold"] > answer["threshold"]

    high = {"false_accept_rate": 0.1, "where": '{"shelf": "high"}'}
    of_filter = shop.get("/gallery/calibration", params=high).json()
    assert (of_filter["genuine"], of_filter["products"]) == (18, 9)
    wrong = shop.get("/gallery/calibration", params={"where": "high"})
    assert_problem(wrong, 422, "invalid-filter")

    service.gallery.delete_product("p00")
    after = shop.get("/gallery/calibration").json()
    assert (after["genuine"], after["impostors"]) == (28, 29)
    assert after["gallery_revision"] == service.gallery.stats().revision


def test_recognise_works_with_the_threshold_of_the_rate(shop: TestClient) -> None:
    asked = {"detect": False, "false_accept_rate": 0.1}
    known, other = (
        shop.post("/recognize", params=asked, files={"image": pictures.jpeg(seed)}).json()
        for seed in (1, 2)
    )
    assert known["results"][0]["product"]["id"] == "shown"
    threshold = shop.get("/gallery/calibration?false_accept_rate=0.1").json()["threshold"]
    stranger = other["results"][0]
    assert (stranger["score"] >= threshold) == (stranger["outcome"] != "unknown")


def test_where_the_gallery_is_too_small_to_say(client: TestClient, service: Service) -> None:
    assert_problem(client.get("/gallery/calibration"), 409, "gallery-too-small")
    service.gallery.put_product("shown", "Shown", {})
    service.gallery.add_images("shown", [service.enroller.prepare(pictures.jpeg(1))])
    # By what is known of the embedder among as many products, the filter's if there is one.
    usual = service.pack.embedder.threshold
    for rate in (0.05, 0.005):
        for query in ({}, {"where": '{"shelf": "nowhere"}'}):
            answer = client.post(
                "/explain",
                params={"false_accept_rate": rate, **query},
                files={"image": pictures.jpeg(1)},
            ).json()
            assert answer["threshold"] == pytest.approx(usual.at_rate(rate, 1, 1), abs=1e-4)
            assert (answer["threshold_from"], answer["calibration"]) == ("pack", None)


def test_rates_that_can_not_be_had(shop: TestClient) -> None:
    for rate in ("0", "-1", "0.6", "1", "nan", "inf", "few"):
        answer = shop.get("/gallery/calibration", params={"false_accept_rate": rate})
        assert_problem(answer, 422, "invalid-request")
    both = {"false_accept_rate": 0.1, "threshold": 0.5}
    answer = shop.post("/recognize", params=both, files={"image": pictures.jpeg(1)})
    assert "not both" in assert_problem(answer, 422, "invalid-request")["detail"]


def test_probability_is_there_once_the_gallery_is_calibrated(shop: TestClient) -> None:
    def recognised(seed: int) -> dict:
        asked = {"detect": False, "where": '{"shelf": {"in": ["high", "low", "shown"]}}'}
        answer = shop.post("/recognize", params=asked, files={"image": pictures.jpeg(seed)})
        return answer.json()["results"][0]

    assert recognised(1)["probability"] is None
    shop.get("/gallery/calibration", params={"where": '{"shelf": "high"}'})
    assert recognised(1)["probability"] is None
    where = {"where": '{"shelf": {"in": ["high", "low", "shown"]}}', "false_accept_rate": 0.1}
    assert shop.get("/gallery/calibration", params=where).status_code == 200
    known, stranger = recognised(1), recognised(2)
    assert 0.9 < known["probability"] <= 1
    assert 0 <= stranger["probability"] <= known["probability"]


def set_rate(service: Service, monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    changed = service.settings.model_copy(update={"false_accept_rate": rate})
    monkeypatch.setattr(service, "settings", changed)


def test_the_operators_rate_holds_where_a_request_names_none(
    shop: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stranger(**asked: object) -> dict:
        asked = {"detect": False, **asked}
        answer = shop.post("/explain", params=asked, files={"image": pictures.jpeg(2)})
        assert answer.status_code == 200
        return answer.json()

    usual = stranger()["threshold"]
    set_rate(service, monkeypatch, 0.1)
    wanted = shop.get("/gallery/calibration?false_accept_rate=0.1").json()["threshold"]
    assert stranger()["threshold"] == wanted != usual
    assert stranger(threshold=0.9)["threshold"] == 0.9
    strict = shop.get("/gallery/calibration?false_accept_rate=0.05").json()["threshold"]
    assert stranger(false_accept_rate=0.05)["threshold"] == strict
    # The references can't tell so small a rate, but what is known of the embedder can.
    set_rate(service, monkeypatch, 0.001)
    assert stranger()["threshold"] > strict


def test_the_first_calibration_is_made_behind_requests_that_are_answered(
    shop: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_rate(service, monkeypatch, 0.1)

    def calibrated() -> bool:
        asked = {"detect": False, "where": '{"shelf": {"in": ["low", "high", "shown", "first"]}}'}
        answer = shop.post("/recognize", params=asked, files={"image": pictures.jpeg(1)})
        return answer.json()["results"][0]["probability"] is not None

    deadline = time.monotonic() + 20
    while not calibrated():
        assert time.monotonic() < deadline


def test_a_gallery_too_small_for_the_operators_rate_is_tried_once(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def counted(*asked: object) -> NoReturn:
        tried.append(asked)
        raise GalleryTooSmall("few")

    monkeypatch.setattr(calibrator, "calibrate", counted)

    def ask(**asked: object) -> float:
        answer = client.post("/recognize", params=asked, files={"image": pictures.jpeg(1)})
        assert answer.status_code == 200
        threshold: float = answer.json()["threshold"]
        return threshold

    usual = ask()
    set_rate(service, monkeypatch, 0.1)
    for _ in range(3):
        assert ask() < usual
        assert ask(false_accept_rate=0.01) > usual
    assert len(tried) == 1
    service.gallery.put_product("another", "Another", {})
    ask(false_accept_rate=0.01)
    assert len(tried) == 2


def test_a_calibration_is_waited_for_no_longer_than_an_answer(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = service.settings.model_copy(update={"deadline_seconds": 0.2})
    monkeypatch.setattr(service, "settings", changed)
    goes_on, found = Event(), []
    fit = calibrator.calibrate

    def slow(*asked: object) -> object:
        goes_on.wait(30)
        found.append(asked)
        return fit(*asked)

    monkeypatch.setattr(calibrator, "calibrate", slow)
    ask = partial(client.post, "/recognize", files={"image": pictures.jpeg(1)})
    answer = ask(params={"false_accept_rate": 0.1})
    assert_problem(answer, 503, "deadline-exceeded")
    assert answer.headers["retry-after"]
    goes_on.set()
    deadline = time.monotonic() + 20
    while ask(params={"false_accept_rate": 0.1}).status_code != 200:
        assert time.monotonic() < deadline
    assert len(found) == 1
