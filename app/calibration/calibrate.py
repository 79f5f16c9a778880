"""How a gallery is calibrated: its references are asked as customers' photographs are.

A photograph asks with several vectors and its best one counts, as in a request.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.calibration import SAME_PICTURE, Calibration, same_picture
from app.calibration.impostors import GalleryTooSmall, Scores
from app.calibration.reliability import fit_reliability
from app.filters import OWN
from gallery import And, Candidate, Contents, Filter, SearchedSize, SearchesContents
from gallery.filters import keeps
from gallery.leaning import product_scores
from gallery.scenes import scenes_of
from models.thresholds import MatchThreshold

# References asked; what is a matter of chance in the answer then comes from the products.
_QUERIES = 2000
_AT_ONCE = 16
# Products that a reference is compared with: a half of them are not enrolled when the interval is
# worked out, and its own is none of them.
_DEEP = 10
_LEAST_GENUINE = 10
_LEAST_PRODUCTS = 4
# A cosine's lowest: of a product that is not there.
_NOTHING = -1.0


def calibrate(
    gallery: SearchesContents,
    usual: MatchThreshold,
    proceed: Callable[[], None] = lambda: None,
    where: Filter | None = None,
) -> Calibration:
    """Ask the references of `gallery`, or a sample of them, as it answers customers.

    The products that came as samples are left out as soon as there are enough others: they are
    families of look-alikes, which a shop's products need not be.

    Args:
        gallery: may be changed and searched meanwhile.
        usual: the threshold of the embedder that its vectors are from.
        proceed: called now and then; what it raises ends the work.
        where: only products with such metadata are asked and compared.

    Raises:
        GalleryTooSmall: too few products, or too few with a second image.
    """
    with gallery.contents() as contents:
        has_samples = any(not keeps(OWN, product.metadata) for product in contents.products())
    if has_samples:
        try:
            return _calibrated(gallery, usual, proceed, OWN if where is None else And((where, OWN)))
        except GalleryTooSmall:
            proceed()
    return _calibrated(gallery, usual, proceed, where)


def _calibrated(
    gallery: SearchesContents,
    usual: MatchThreshold,
    proceed: Callable[[], None],
    where: Filter | None,
) -> Calibration:
    with gallery.contents() as contents:
        revision = contents.revision
        queries, size = _sample(contents, proceed, where)
    others: list[list[list[Candidate]]] = []
    for start in range(0, len(queries), _AT_ONCE):
        proceed()
        others += _others(gallery, queries[start : start + _AT_ONCE], where)
    # One whose only likes hold the same picture tells nothing.
    known = [place for place, found in enumerate(others) if any(found)]
    if len({queries[place].product_id for place in known}) < _LEAST_PRODUCTS:
        raise GalleryTooSmall(
            "Calibration compares products with each other: enrol references of "
            f"{_LEAST_PRODUCTS} at least{' that the filter keeps' if where else ''}."
        )
    return _calibration(
        revision, [queries[i] for i in known], [others[i] for i in known], size, usual
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """A reference asked as a photograph: its vectors float32 [V, D].

    `own` [V]: how each scores by the other references of its product; NaN where there are none.
    """

    product_id: str
    vectors: NDArray[np.float32]
    own: Scores


def _sample(
    contents: Contents, proceed: Callable[[], None], where: Filter | None
) -> tuple[list[_Query], SearchedSize]:
    """References of as many products as can be, and of each of them as many; and of how many.

    In an order that is random and always the same.
    """
    products = [
        product
        for product in contents.products()
        if product.image_count and (where is None or keeps(where, product.metadata))
    ]
    ids = [product.id for product in products]
    size = SearchedSize(len(ids), sum(product.image_count for product in products))
    rng = np.random.default_rng(0)
    quota = max(2, _QUERIES // max(len(ids), 1))
    chosen: list[_Query] = []
    for place in rng.permutation(len(ids)):
        if len(chosen) >= _QUERIES:
            break
        proceed()
        rows = [rows.astype(np.float32) for rows in contents.vectors(ids[place]).values()]
        chosen += [
            _Query(ids[place], rows[i], _leave_one_out(rows, i))
            for i in rng.permutation(len(rows))[:quota]
        ]
    return chosen, size


def _leave_one_out(references: list[NDArray[np.float32]], left: int) -> Scores:
    """How a product's other references score for each vector [V] of one; NaN without others."""
    asked = references[left]
    others = [
        rows for i, rows in enumerate(references) if i != left and not same_picture(rows, asked)
    ]
    if not others:
        return np.full(len(asked), np.nan)
    best: Scores = product_scores(asked, scenes_of(len(asked)), others).max(axis=0)
    return best.astype(np.float64)


def _others(
    gallery: SearchesContents, queries: list[_Query], where: Filter | None
) -> list[list[list[Candidate]]]:
    """For each vector of each query the best products, best first, but its own."""
    vectors = np.concatenate([query.vectors for query in queries])
    scenes = np.concatenate([scenes_of(len(query.vectors)) for query in queries])
    rows = iter(gallery.search(vectors, _DEEP, where, scenes).candidates)
    return [
        [
            [
                candidate
                for candidate in next(rows)
                if candidate.product_id != query.product_id and candidate.likeness < SAME_PICTURE
            ]
            for _ in query.vectors
        ]
        for query in queries
    ]


def _calibration(
    revision: int,
    queries: list[_Query],
    others: list[list[list[Candidate]]],
    size: SearchedSize,
    usual: MatchThreshold,
) -> Calibration:
    ids = {query.product_id for query in queries}
    ids |= {found.product_id for several in others for row in several for found in row}
    product_ids = sorted(ids)
    numbers = {name: number for number, name in enumerate(product_ids)}
    genuine = np.array([query.own.max() for query in queries])
    if np.count_nonzero(~np.isnan(genuine)) < _LEAST_GENUINE:
        raise GalleryTooSmall(
            f"{np.count_nonzero(~np.isnan(genuine))} references have another one of their product "
            f"that is not the same picture; {_LEAST_GENUINE} are needed. Enrol second photographs "
            "of the products."
        )
    ranked, scores = _merged(others, numbers)
    known = [
        _answer(query.own, found)
        for query, found in zip(queries, others, strict=True)
        if not np.isnan(query.own).any()
    ]
    unknown = [_answer(np.full(len(found), _NOTHING), found) for found in others]
    score, margin, right = (np.array(column) for column in zip(*known, *unknown, strict=True))
    # As much weight on photographs of enrolled products as on those of unknown ones.
    weights = np.repeat(
        [len(score) / 2 / len(known), len(score) / 2 / len(unknown)], [len(known), len(unknown)]
    )
    return Calibration(
        revision,
        product_ids,
        np.array([numbers[query.product_id] for query in queries]),
        ranked,
        scores,
        genuine,
        *_padded([query.vectors for query in queries]),
        fit_reliability(score, margin, right.astype(np.bool_), weights),
        size,
        usual,
    )


def _padded(
    vectors: list[NDArray[np.float32]],
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """As many of each reference, [N, V, D], and which are scenes: the first again where too few."""
    most = max(len(rows) for rows in vectors)
    padded = [np.concatenate([rows, rows[:1].repeat(most - len(rows), axis=0)]) for rows in vectors]
    scenes = [np.resize(scenes_of(len(rows)), most) for rows in vectors]
    # They came from float16.
    return np.stack(padded).astype(np.float16), np.stack(scenes)


def _merged(
    others: list[list[list[Candidate]]], numbers: dict[str, int]
) -> tuple[NDArray[np.int64], Scores]:
    """Of each query's products the numbers [N, K] and scores [N, K] by its best vectors."""
    ranked = np.full((len(others), _DEEP), -1, dtype=np.int64)
    scores = np.full((len(others), _DEEP), _NOTHING)
    for place, several in enumerate(others):
        best: dict[int, float] = {}
        for found in (candidate for row in several for candidate in row):
            number = numbers[found.product_id]
            best[number] = max(found.score, best.get(number, _NOTHING))
        order = sorted(best, key=lambda number: -best[number])[:_DEEP]
        ranked[place, : len(order)] = order
        scores[place, : len(order)] = [best[number] for number in order]
    return ranked, scores


def _answer(own: Scores, others: list[list[Candidate]]) -> tuple[float, float, bool]:
    """By the best vector: score of the best product, margin to the next, whether it is its own."""
    best = []
    for score, found in zip(own.tolist(), others, strict=True):
        first, second, *_ = sorted(
            [score, *(candidate.score for candidate in found), _NOTHING], reverse=True
        )
        best.append((first, first - second, score == first and score > _NOTHING))
    return max(best)
