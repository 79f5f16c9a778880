"""How a photograph becomes products: detect, embed, search, decide, merge (PP-ShiTuV2's pipeline).

The whole image is always one more candidate; where bodies are found in it, it is a scene, which is
not compared with scenes (gallery.scenes). All crops go through the embedder as one batch and
through the gallery as one search. Products that are near each other are compared once more by what
is printed on them (app.reranker). Overlapping results are merged on the match score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from app.reranker import MOST_PRODUCTS
from gallery import Candidate, Filter, Searches
from models.detector import Box, Detection, crop
from models.preprocess import Picture, Pyramid
from models.thresholds import MatchThreshold
from models.worker import StageTimes

Outcome = Literal["match", "ambiguous", "unknown"]
BoxSource = Literal["detector", "whole_image"]

# Two boxes show the same body when this share of the smaller one lies inside the other. PP-ShiTuV2
# merges from IoU 0.05 on; products on a tray touch, and two of the same kind are two.
SAME_BODY = 0.6
# A box holds another when this share of the other's area lies inside it.
CONTAINED = 0.8


class DetectsBodies(Protocol):
    """What the recogniser needs of a detector (models.Detector)."""

    def detect(
        self,
        picture: Picture,
        /,
        *,
        max_results: int | None = None,
        min_score: float | None = None,
    ) -> tuple[list[Detection], StageTimes]: ...


class EmbedsCrops(Protocol):
    """What the recogniser needs of an embedder (models.Embedder)."""

    def embed(self, crops: Sequence[Picture], /) -> tuple[NDArray[np.float32], StageTimes]: ...


class Reranks(Protocol):
    """What the recogniser needs of a reranker (app.reranker)."""

    def rerank(
        self,
        body: Pyramid,
        candidates: Sequence[Candidate],
        threshold: float,
        revision: int,
        *,
        rated: bool,
    ) -> list[Candidate]: ...


@dataclass(frozen=True, slots=True)
class Recognition:
    """What one region of the photograph shows; `scene`: it is one (gallery.scenes)."""

    box: Box
    box_source: BoxSource
    detection_score: float | None
    outcome: Outcome
    score: float | None
    margin: float | None
    candidates: list[Candidate]
    scene: bool = False

    @property
    def product(self) -> Candidate | None:
        """The best candidate, unless it is not good enough to be named."""
        return None if self.outcome == "unknown" else self.candidates[0]


@dataclass(frozen=True, slots=True)
class Recognized:
    """What was found in a photograph, best first, and what it holds for.

    `threshold`: the score from which products were named. `revision`: the gallery's. `bodies`: how
    many were detected.
    """

    results: list[Recognition]
    threshold: float
    revision: int
    detect_times: StageTimes
    embed_times: StageTimes
    search_ms: float
    rerank_ms: float
    bodies: int


class Recognizer:
    """Joins detector, embedder and gallery. Safe to call from many threads."""

    def __init__(
        self,
        detector: DetectsBodies,
        embedder: EmbedsCrops,
        gallery: Searches,
        *,
        threshold: MatchThreshold,
        ambiguous_margin: float,
        reranker: Reranks | None = None,
    ) -> None:
        self._detector = detector
        self._embedder = embedder
        self._gallery = gallery
        self._threshold = threshold
        self._ambiguous_margin = ambiguous_margin
        self._reranker = reranker

    def recognize(
        self,
        picture: Picture,
        *,
        detect: bool = True,
        max_results: int | None = None,
        top_k: int = 5,
        threshold: float | None = None,
        false_accept_rate: float | None = None,
        where: Filter | None = None,
        proceed: Callable[[], None] = lambda: None,
    ) -> Recognized:
        """Recognise the products in a photograph (uint8 [H, W, 3] RGB).

        Args:
            picture: the upright photograph.
            detect: look for bodies first; otherwise only the whole image is matched.
            max_results: most bodies; the pack's number by default.
            top_k: most candidates (products) per result.
            threshold: inner product from which a product is named; by default the embedder's
                for as many products as are searched.
            false_accept_rate: that the threshold is for, the one given or the embedder's.
            where: only products with such metadata are candidates.
            proceed: called before each network; what it raises ends the work.
        """
        photograph = picture if isinstance(picture, Pyramid) else Pyramid(picture)
        proceed()
        regions, detect_times = self.regions(photograph, detect=detect, max_results=max_results)
        proceed()
        bodies = [crop(photograph, region.box) for region in regions]
        vectors, embed_times = self._embedder.embed(bodies)
        start = perf_counter()
        # Two products at least: the margin between the best two needs them.
        most = max(top_k, 2 if self._reranker is None else MOST_PRODUCTS)
        found = self._gallery.search(vectors, most, where, scenes_among(regions))
        search_ms = (perf_counter() - start) * 1000
        rated = false_accept_rate is not None
        if threshold is None:
            threshold = self._threshold.among(
                found.size.products, found.size.images, false_accept_rate
            )
        start = perf_counter()
        ranked = found.candidates
        if self._reranker is not None:
            ranked = [
                self._reranker.rerank(body, candidates, threshold, found.revision, rated=rated)
                for body, candidates in zip(bodies, ranked, strict=True)
            ]
        rerank_ms = (perf_counter() - start) * 1000
        results = [
            self._decide(region, candidates, threshold, top_k)
            for region, candidates in zip(regions, ranked, strict=True)
        ]
        return Recognized(
            merge(results),
            threshold,
            found.revision,
            detect_times,
            embed_times,
            search_ms,
            rerank_ms,
            len(regions) - 1,
        )

    def regions(
        self, photograph: Pyramid, *, detect: bool, max_results: int | None = None
    ) -> tuple[list["Region"], StageTimes]:
        """The detected bodies, and the whole image as the last one."""
        box = Box(0, 0, photograph.width, photograph.height)
        if not detect:
            return [Region(box, "whole_image", None)], StageTimes(0, 0, 0)
        detections, times = self._detector.detect(photograph, max_results=max_results)
        bodies = [Region(found.box, "detector", found.score) for found in detections]
        return [*bodies, Region(box, "whole_image", None, scene=bool(bodies))], times

    def _decide(
        self, region: "Region", candidates: list[Candidate], threshold: float, top_k: int
    ) -> Recognition:
        score = candidates[0].score if candidates else None
        # With one product in the gallery there is no runner-up, so no margin to be small.
        margin = candidates[0].score - candidates[1].score if len(candidates) > 1 else None
        outcome: Outcome
        if score is None or score < threshold:
            outcome = "unknown"
        elif margin is not None and margin < self._ambiguous_margin:
            outcome = "ambiguous"
        else:
            outcome = "match"
        return Recognition(
            box=region.box,
            box_source=region.source,
            detection_score=region.detection_score,
            outcome=outcome,
            score=score,
            margin=margin,
            candidates=candidates[:top_k],
            scene=region.scene,
        )


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the photograph to be matched; `scene`: gallery.scenes."""

    box: Box
    source: BoxSource
    detection_score: float | None
    scene: bool = False


def scenes_among(regions: Sequence[Region]) -> NDArray[np.bool_]:
    """Which of the regions are scenes, [R]."""
    return np.array([region.scene for region in regions], dtype=np.bool_)


def merge(results: Sequence[Recognition]) -> list[Recognition]:
    """Leave one result for each body, best first.

    A recognised box that merely contains several recognised products gives way to them, and the
    whole image to a box that names the same product: the box tells where it is. Then, best match
    score first and unknown ones last, a result that shows the same body as a better one is dropped.
    So the whole image is reported as unknown only when there is nothing else.
    """
    named = [result for result in results if result.outcome != "unknown"]
    unknown = [result for result in results if result.outcome == "unknown"]
    candidates = [
        *sorted((r for r in named if not _gives_way(r, named)), key=_match_score, reverse=True),
        *sorted(unknown, key=_detection_score, reverse=True),
    ]
    kept: list[Recognition] = []
    for result in candidates:
        if not any(_same_body(result.box, better.box) for better in kept):
            kept.append(result)
    return kept


def inside(inner: Box, outer: Box) -> float:
    """The share of `inner`'s area that lies inside `outer`, 0 to 1."""
    width = min(inner.x2, outer.x2) - max(inner.x1, outer.x1)
    height = min(inner.y2, outer.y2) - max(inner.y1, outer.y1)
    return max(width, 0.0) * max(height, 0.0) / _area(inner)


def _gives_way(result: Recognition, named: Sequence[Recognition]) -> bool:
    located = result.box_source == "whole_image" and any(
        other.box_source == "detector"
        and other.outcome == result.outcome
        and other.candidates[0].product_id == result.candidates[0].product_id
        for other in named
    )
    return located or _is_group(result, named)


def _is_group(result: Recognition, named: Sequence[Recognition]) -> bool:
    members: list[Box] = []
    for other in named:
        if (
            _area(other.box) < _area(result.box)
            and inside(other.box, result.box) >= CONTAINED
            and not any(_same_body(other.box, member) for member in members)
        ):
            members.append(other.box)
    return len(members) > 1


def _same_body(a: Box, b: Box) -> bool:
    return max(inside(a, b), inside(b, a)) > SAME_BODY


def _match_score(result: Recognition) -> float:
    return -1.0 if result.score is None else result.score


def _detection_score(result: Recognition) -> float:
    # The whole image has none: it comes last, and every box lies inside it.
    return -1.0 if result.detection_score is None else result.detection_score


def _area(box: Box) -> float:
    return (box.x2 - box.x1) * (box.y2 - box.y1)
