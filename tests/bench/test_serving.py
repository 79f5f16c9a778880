import json

import numpy as np
import pytest

from app.images import ImageLimits, decode
from bench.peers import _embedder
from bench.photographs import SIZES, photographs
from bench.serve import Load, agrees, post
from models.pack import PACKS, Pack

LIMITS = ImageLimits(max_bytes=10**7, max_pixels=10**8, min_side=16)


def answer(*results: tuple[str | None, float]) -> bytes:
    """Results by product and left edge."""
    documents = [
        {
            "product": None if product is None else {"id": product},
            "box": {"x1": left, "y1": 0.0, "x2": left + 10, "y2": 10.0},
        }
        for product, left in results
    ]
    return json.dumps({"results": documents}).encode()


def test_photographs_have_their_size_and_are_the_same_every_time() -> None:
    first, again = (photographs(["1080p"], ["scene-1.jpg"]) for _ in range(2))
    assert [photo.jpeg for photo in first] == [photo.jpeg for photo in again]
    assert decode(first[0].jpeg, LIMITS).shape == (*SIZES["1080p"][::-1], 3)
    assert len(first[0].jpeg) > 200_000


def test_answers_agree_on_products_and_places_in_whatever_order() -> None:
    truth = answer(("a", 0.0), (None, 50.0))
    assert agrees(answer((None, 50.2), ("a", 0.0)), truth)
    assert not agrees(answer(("b", 0.0), (None, 50.0)), truth)
    assert not agrees(answer(("a", 3.0), (None, 50.0)), truth)
    assert not agrees(answer(("a", 0.0)), truth)


def test_a_load_says_what_was_answered_and_what_was_not() -> None:
    load = Load(seconds=[0.1, 0.2, 0.3], refused=[429], elapsed=2.0)
    assert load.row("three")[:3] == ["three", "1.5", "200"]
    assert load.row("three")[5:] == ["1", "0"]


def test_the_request_is_whole() -> None:
    (photo,) = photographs(["1080p"], ["scene-1.jpg"])
    head, _, body = post("/recognize", photo.jpeg).partition(b"\r\n\r\n")
    assert body == photo.jpeg
    assert f"Content-Length: {len(photo.jpeg)}".encode() in head


def test_the_peer_normalises_as_the_pack_says() -> None:
    spec = Pack.load(PACKS / "embedded").embedder
    steps = _embedder(spec)["PreProcess"]["transform_ops"]
    normalise = next(step for step in steps if "NormalizeImage" in step)["NormalizeImage"]
    values = np.arange(256.0)[:, None]
    ours = (values * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    theirs = (values * normalise["scale"] - np.array(normalise["mean"])) / normalise["std"]
    assert theirs == pytest.approx(ours)
