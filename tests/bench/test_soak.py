import json
from collections.abc import Sequence

import numpy as np

from bench.serve import Load, post
from bench.soak import Outcome, State, kept, summary
from bench.soak_requests import Truth, broken, novelty, views


def embedding(vector: Sequence[float]) -> bytes:
    return json.dumps({"embeddings": [{"vector": list(vector)}]}).encode()


def found(left: float) -> bytes:
    box = {"x1": left, "y1": 0.0, "x2": left + 50, "y2": 50.0}
    return json.dumps({"detections": [{"box": box, "score": 0.9}]}).encode()


def test_photographs_differ_and_are_the_same_every_time() -> None:
    made = views()
    assert len({*made}) == len(made) >= 20
    assert views() == made
    rng = np.random.default_rng(1)
    assert novelty(rng) != novelty(rng)


def test_an_answer_is_that_of_its_photograph_or_not() -> None:
    answers = {
        "embed": [embedding((1, 0)), embedding((0, 1))],
        "detect": [found(10), found(200)],
        "recognize": [],
    }
    truth = Truth([b"a", b"b"], answers)
    assert truth.agrees("embed", 0, embedding((0.9999, 0.01)))
    assert not truth.agrees("embed", 1, embedding((0.9999, 0.01)))
    assert truth.agrees("detect", 1, found(200.4))
    assert not truth.agrees("detect", 0, found(200.4))


def test_what_is_broken_is_still_a_whole_request() -> None:
    rng = np.random.default_rng(0)
    photograph = views()[0]
    for _ in range(10):
        head, _, body = broken(photograph, rng).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert broken(photograph, rng) != post("/recognize", photograph)


def test_a_summary_tells_what_was_not_as_it_should_be() -> None:
    outcome = Outcome(Load())
    assert outcome.expect("slow", 200, 200)
    assert not outcome.expect("broken", 500, 400, 422)
    assert "1 broken, 1 slow" in summary(outcome)
    assert "1 × broken: 500" in summary(outcome)


def test_growth_is_reckoned_from_when_it_was_warm() -> None:
    cold, warm, end = State(10, 20, 100), State(12, 30, 500), State(12, 30, 510)
    outcome = Outcome(states=[cold] * 20 + [warm] * 40 + [end] * 40)
    assert "+2.0%" in kept(cold, outcome, end)
