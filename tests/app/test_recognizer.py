from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from app.recognizer import Recognition, Recognizer, inside, merge
from gallery import Candidate, Filter, SearchedSize, SearchResult
from models.detector import Box, Detection, crop
from models.preprocess import Pyramid
from models.thresholds import MatchThreshold
from models.worker import StageTimes

WHOLE = Box(0, 0, 100, 100)


def result(
    box: Box,
    product: str | None,
    score: float,
    *,
    whole: bool = False,
    detection_score: float = 0.9,
    outcome: str = "match",
) -> Recognition:
    return Recognition(
        box=box,
        box_source="whole_image" if whole else "detector",
        detection_score=None if whole else detection_score,
        outcome=outcome if product else "unknown",
        score=score,
        margin=0.2,
        candidates=[Candidate(product or "nearest", product or "nearest", score, "image")],
    )


def products(results: Sequence[Recognition]) -> list[str | None]:
    return [item.product.product_id if item.product else None for item in results]


LEFT, RIGHT = Box(5, 20, 45, 80), Box(55, 20, 95, 80)


def test_separate_products_stay_best_first() -> None:
    merged = merge([result(LEFT, "a", 0.7), result(RIGHT, "b", 0.9), result(WHOLE, None, 0.2)])
    assert products(merged) == ["b", "a"]


def test_touching_neighbours_of_one_product_are_two() -> None:
    left, right = Box(0, 0, 52, 100), Box(48, 0, 100, 100)
    assert products(merge([result(left, "a", 0.8), result(right, "a", 0.7)])) == ["a", "a"]


def test_overlapping_boxes_are_merged_on_the_match_score_not_the_detection_score() -> None:
    inner = Box(10, 25, 40, 75)
    weak = result(LEFT, "a", 0.6, detection_score=0.99)
    strong = result(inner, "b", 0.8, detection_score=0.3)
    assert products(merge([weak, strong])) == ["b"]


def test_a_box_around_several_products_gives_way_to_them() -> None:
    group = result(Box(2, 15, 98, 85), "c", 0.95)
    merged = merge([group, result(LEFT, "a", 0.7), result(RIGHT, "b", 0.6)])
    assert products(merged) == ["a", "b"]


def test_the_whole_image_gives_way_to_several_products_too() -> None:
    whole = result(WHOLE, "c", 0.95, whole=True)
    merged = merge([result(LEFT, "a", 0.7), result(RIGHT, "b", 0.6), whole])
    assert products(merged) == ["a", "b"]


def test_two_boxes_of_one_body_do_not_make_a_group() -> None:
    outer = result(Box(2, 15, 98, 85), "c", 0.95)
    merged = merge([outer, result(LEFT, "a", 0.7), result(Box(6, 22, 44, 79), "b", 0.6)])
    assert products(merged) == ["c"]


def test_the_better_of_box_and_whole_image_stays() -> None:
    whole = result(WHOLE, "b", 0.9, whole=True)
    assert merge([result(LEFT, "a", 0.7), whole]) == [whole]


def test_a_box_of_the_same_product_tells_where_it_is() -> None:
    box = result(LEFT, "a", 0.7)
    assert merge([box, result(WHOLE, "a", 0.9, whole=True)]) == [box]


def test_an_unknown_body_is_reported_beside_known_ones() -> None:
    merged = merge([result(LEFT, "a", 0.7), result(RIGHT, None, 0.3), result(WHOLE, None, 0.3)])
    assert products(merged) == ["a", None]
    assert merged[1].box == RIGHT


def test_the_whole_image_is_unknown_only_when_there_is_nothing_else() -> None:
    whole = result(WHOLE, None, 0.3, whole=True)
    assert merge([whole]) == [whole]
    assert products(merge([result(LEFT, None, 0.1), whole])) == [None]
    assert merge([result(LEFT, None, 0.1), whole])[0].box == LEFT


def test_an_unknown_box_over_a_known_body_is_dropped() -> None:
    assert products(merge([result(LEFT, "a", 0.7), result(Box(0, 0, 50, 90), None, 0.4)])) == ["a"]


def test_inside_is_a_share_of_the_inner_box() -> None:
    assert inside(Box(0, 0, 10, 10), Box(5, 0, 100, 100)) == pytest.approx(0.5)
    assert inside(Box(0, 0, 10, 10), Box(10, 10, 20, 20)) == 0


@pytest.mark.parametrize("box", [Box(-3, -3, 4, 4), Box(99.9, 99.9, 100, 100), Box(5, 5, 5.2, 5.3)])
def test_a_crop_has_at_least_one_pixel(box: Box) -> None:
    photograph = Pyramid(np.zeros((100, 100, 3), np.uint8))
    part = crop(photograph, Box(max(box.x1, 0), max(box.y1, 0), box.x2, box.y2))
    assert part.pixels.size > 0


class FixedDetector:
    def __init__(self, boxes: Sequence[Box]) -> None:
        self.boxes = boxes

    def detect(
        self, picture: Pyramid, *, max_results: int | None = None, min_score: float | None = None
    ) -> tuple[list[Detection], StageTimes]:
        return [Detection(box, 0.9) for box in self.boxes], StageTimes(1, 2, 3)


class MeanColourEmbedder:
    """Embeds a crop as the direction of its mean colour, and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def embed(self, crops: Sequence[Pyramid]) -> tuple[np.ndarray, StageTimes]:
        self.calls.append(len(crops))
        means = np.stack([crop.pixels.reshape(-1, 3).mean(axis=0) + 1e-3 for crop in crops])
        unit = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit.astype(np.float32), StageTimes(4, 5, 6)


class ColourGallery:
    """Red, green and blue are its products."""

    names = ("red", "green", "blue")
    size = SearchedSize(3, 3)

    def __init__(self) -> None:
        self.queries: list[int] = []
        self.scenes: list[list[bool]] = []

    def search(
        self,
        vectors: np.ndarray,
        k: int,
        where: Filter | None = None,
        scenes: np.ndarray | None = None,
    ) -> SearchResult:
        self.queries.append(len(vectors))
        self.scenes.append([] if scenes is None else scenes.tolist())
        candidates = []
        for vector in vectors:
            best = sorted(zip(vector.tolist(), self.names, strict=True), reverse=True)[:k]
            candidates.append([Candidate(name, name.title(), s, f"{name}-1") for s, name in best])
        return SearchResult(candidates, revision=7, size=self.size)


class Backwards:
    """Finds the last candidate's print, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[float, int, bool]] = []

    def rerank(
        self,
        body: Pyramid,
        candidates: Sequence[Candidate],
        threshold: float,
        revision: int,
        *,
        rated: bool,
    ) -> list[Candidate]:
        self.told.append((threshold, revision, rated))
        return [replace(candidates[-1], score=0.99, inliers=40), *candidates[:-1]]


def recognizer(
    boxes: Sequence[Box],
    embedder: MeanColourEmbedder,
    gallery: ColourGallery,
    reranker: Backwards | None = None,
) -> Recognizer:
    return Recognizer(
        FixedDetector(boxes),
        embedder,
        gallery,
        threshold=MatchThreshold(0.9),
        ambiguous_margin=0.1,
        reranker=reranker,
    )


def test_what_is_printed_decides_after_vectors() -> None:
    reranker = Backwards()
    red = np.zeros((100, 100, 3), np.uint8)
    red[..., 0] = 200
    asked = recognizer([], MeanColourEmbedder(), ColourGallery(), reranker)
    plain = recognizer([], MeanColourEmbedder(), ColourGallery()).recognize(red).results[0]
    (found,) = asked.recognize(red, top_k=2).results
    assert plain.candidates[0].product_id == "red"
    assert found.product is not None
    assert (found.product.inliers, found.score) == (40, 0.99)
    assert found.product.product_id == plain.candidates[-1].product_id
    assert [one.product_id for one in found.candidates[1:]] == ["red"]
    asked.recognize(red, threshold=0.5, false_accept_rate=0.05)
    assert reranker.told == [(0.9, 7, False), (0.5, 7, True)]


def photograph() -> np.ndarray:
    image = np.full((100, 100, 3), 128, np.uint8)
    image[20:80, 5:45] = (255, 0, 0)
    image[20:80, 55:95] = (0, 0, 255)
    return image


def test_crops_and_whole_image_are_one_batch_and_one_search() -> None:
    embedder, gallery = MeanColourEmbedder(), ColourGallery()
    found = recognizer([LEFT, RIGHT], embedder, gallery).recognize(photograph())
    assert {item.product.product_id: item.box for item in found.results if item.product} == {
        "red": LEFT,
        "blue": RIGHT,
    }
    assert embedder.calls == [3]
    assert gallery.queries == [3]
    assert gallery.scenes == [[False, False, True]]
    assert (found.revision, found.threshold) == (7, 0.9)
    assert (found.detect_times, found.embed_times) == (StageTimes(1, 2, 3), StageTimes(4, 5, 6))


def test_without_detection_only_the_whole_image_is_matched() -> None:
    embedder, gallery = MeanColourEmbedder(), ColourGallery()
    found = recognizer([LEFT], embedder, gallery).recognize(photograph(), detect=False)
    assert [item.box_source for item in found.results] == ["whole_image"]
    assert gallery.scenes == [[False]]
    assert found.detect_times == StageTimes(0, 0, 0)


def test_the_whole_of_a_photograph_without_bodies_is_no_scene() -> None:
    gallery = ColourGallery()
    (only,) = recognizer([], MeanColourEmbedder(), gallery).recognize(photograph()).results
    assert (gallery.scenes, only.scene) == ([[False]], False)


def test_outcomes_follow_threshold_and_margin() -> None:
    embedder, gallery = MeanColourEmbedder(), ColourGallery()
    yellow = np.full((50, 50, 3), (250, 245, 0), np.uint8)
    both = recognizer([], embedder, gallery)
    assert both.recognize(yellow).results[0].outcome == "unknown"
    assert both.recognize(yellow, threshold=0.5).results[0].outcome == "ambiguous"
    red = np.full((50, 50, 3), (250, 3, 0), np.uint8)
    (found,) = both.recognize(red, top_k=1).results
    assert found.outcome == "match"
    assert len(found.candidates) == 1
    assert found.margin is not None
    assert found.margin > 0.9


def test_an_empty_gallery_makes_everything_unknown() -> None:
    class EmptyGallery(ColourGallery):
        names = ()

        def search(self, vectors: np.ndarray, *asked: object) -> SearchResult:
            return SearchResult([[] for _ in vectors], revision=0, size=SearchedSize(0, 0))

    empty = recognizer([LEFT], MeanColourEmbedder(), EmptyGallery())
    (only,) = empty.recognize(photograph()).results
    assert (only.outcome, only.score, only.margin, only.product) == ("unknown", None, None, None)


def test_what_proceed_raises_ends_the_work_before_the_next_network() -> None:
    class GoneError(Exception):
        pass

    def gone_after(steps: int) -> Callable[[], None]:
        left = iter(range(steps))

        def proceed() -> None:
            if next(left, None) is None:
                raise GoneError

        return proceed

    embedder, gallery = MeanColourEmbedder(), ColourGallery()
    recognize = recognizer([LEFT], embedder, gallery).recognize
    for steps in (0, 1):
        with pytest.raises(GoneError):
            recognize(photograph(), proceed=gone_after(steps))
    assert embedder.calls == []
    recognize(photograph(), proceed=gone_after(2))
    assert embedder.calls == [2]
