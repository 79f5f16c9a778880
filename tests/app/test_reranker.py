"""Products alike as a whole are told apart by their labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from app.images import encode_thumbnail
from app.kept_features import KeptFeatures
from app.reranker import BELOW, GAIN, MANY, REACH, Reranker
from gallery import Candidate, GalleryUnavailable, UnknownImage
from gallery.records import Image
from models.preprocess import Pyramid
from tests.models.test_local_features import label, photographed

THRESHOLD = 0.6


def printed(seed: int) -> np.ndarray:
    return np.repeat(label(seed)[..., None], 3, axis=2)


def body(seed: int) -> Pyramid:
    seen = photographed(label(seed), 10, 0.9, 0.8)
    return Pyramid(np.repeat(seen[..., None], 3, axis=2))


class Pictures:
    """Products and what their references show, by seed; counts what is asked."""

    def __init__(self, products: Mapping[str, list[int]]) -> None:
        self.products = products
        self.asked: list[str] = []
        self.listed: list[str] = []

    def list_images(self, product_id: str) -> list[Image]:
        self.listed.append(product_id)
        return [
            Image(f"{product_id}-{seed}", product_id, "", 1, 1, "")
            for seed in self.products[product_id]
        ]

    def get_thumbnail(self, image_id: str) -> bytes:
        self.asked.append(image_id)
        return encode_thumbnail(printed(int(image_id.split("-")[1])))


def reranker(pictures: Pictures) -> Reranker:
    return Reranker(pictures, KeptFeatures(Path(":memory:")))


def candidates(**scores: float) -> list[Candidate]:
    return [Candidate(name, name.title(), score, f"{name}-0") for name, score in scores.items()]


def order(found: list[Candidate]) -> list[str]:
    return [candidate.product_id for candidate in found]


def test_the_right_label_comes_first() -> None:
    pictures = Pictures({"cola": [1, 2], "tea": [3, 4], "milk": [5]})
    asked = candidates(cola=0.8, tea=0.75, milk=0.4)
    found = reranker(pictures).rerank(body(4), asked, THRESHOLD, 1)
    assert order(found) == ["tea", "cola", "milk"]
    tea, cola, milk = found
    assert tea.inliers is not None
    assert tea.inliers >= MANY
    assert tea.score == pytest.approx(0.75 + GAIN * 0.25)
    assert cola.inliers is not None
    assert cola.inliers < tea.inliers / 2
    assert cola.score == 0.8
    # Too far from the best to be looked at.
    assert (milk.inliers, milk.score) == (None, 0.4)
    assert {image.split("-")[0] for image in pictures.asked} == {"cola", "tea"}


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"cola": 0.9, "tea": 0.9 - REACH - 0.01},
        {"cola": THRESHOLD},
        {"cola": THRESHOLD - BELOW - 0.01, "tea": THRESHOLD - BELOW - 0.02},
    ],
    ids=["nothing", "far ahead", "alone", "unknown"],
)
def test_nobody_looks_where_vectors_tell(scores: dict[str, float]) -> None:
    pictures = Pictures({"cola": [1], "tea": [2]})
    asked = candidates(**scores)
    assert reranker(pictures).rerank(body(1), asked, THRESHOLD, 1) == asked
    assert pictures.asked == []


def test_a_label_lifts_a_product_above_the_threshold() -> None:
    pictures = Pictures({"cola": [1]})
    below = candidates(cola=THRESHOLD - 0.1)
    (found,) = reranker(pictures).rerank(body(1), below, THRESHOLD, 1)
    assert found.score > THRESHOLD
    (other,) = reranker(pictures).rerank(body(2), below, THRESHOLD, 1)
    assert other.score < THRESHOLD


def test_a_rate_stays_one_of_vectors() -> None:
    pictures = Pictures({"cola": [1], "tea": [2]})
    reranks = reranker(pictures)
    below = candidates(cola=THRESHOLD - 0.01, tea=THRESHOLD - 0.02)
    assert reranks.rerank(body(2), below, THRESHOLD, 1, rated=True) == below
    across = candidates(cola=THRESHOLD + 0.01, tea=THRESHOLD - 0.01)
    assert reranks.rerank(body(2), across, THRESHOLD, 1, rated=True) == across
    assert pictures.asked == []
    above = candidates(cola=THRESHOLD + 0.02, tea=THRESHOLD + 0.01)
    assert order(reranks.rerank(body(2), above, THRESHOLD, 1, rated=True)) == ["tea", "cola"]


def test_pictures_are_read_once_and_new_ones_with_the_next_revision() -> None:
    products = {"cola": [1], "tea": [2]}
    pictures = Pictures(products)
    reranks = reranker(pictures)
    asked = candidates(cola=0.8, tea=0.75)
    for _ in range(3):
        assert order(reranks.rerank(body(3), asked, THRESHOLD, 1)) == ["cola", "tea"]
    assert (pictures.asked, pictures.listed) == (["cola-1", "tea-2"], ["cola", "tea"])
    products["tea"].append(3)
    assert order(reranks.rerank(body(3), asked, THRESHOLD, 2)) == ["tea", "cola"]
    assert pictures.asked == ["cola-1", "tea-2", "tea-3"]


@pytest.mark.parametrize("error", [UnknownImage("cola-1"), GalleryUnavailable("away")])
def test_without_pictures_vectors_tell(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(Pictures, "get_thumbnail", refuse)
    asked = candidates(cola=0.8, tea=0.75)
    found = reranker(Pictures({"cola": [1], "tea": [2]})).rerank(body(2), asked, THRESHOLD, 1)
    assert found == asked


def test_a_picture_that_is_none_has_no_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pictures, "get_thumbnail", lambda *_: b"\xff\xd8\xff\xd9")
    asked = candidates(cola=0.8, tea=0.75)
    found = reranker(Pictures({"cola": [1], "tea": [2]})).rerank(body(2), asked, THRESHOLD, 1)
    assert [(one.score, one.inliers) for one in found] == [(0.8, 0), (0.75, 0)]
