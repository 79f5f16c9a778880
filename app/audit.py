"""What is wrong with a gallery, found by asking its own references (leave-one-image-out).

Every reference is compared with every other by its best pair of vectors, as a request compares. A
reference that is the same picture as another proves nothing about it and is left out there.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.calibration import SAME_PICTURE
from app.perceptual import look_alike, perceptual_hash
from gallery import Contents

# Fewer references than this miss sides of a product.
FEW = 3
# Modified z-score from which a value is an outlier (Iglewicz and Hoaglin, 1993).
_OUTLYING = 3.5
_NORMAL = 0.6745  # a normal distribution's median absolute deviation
_AT_ONCE = 128
# Plain pictures have like hashes: these must be alike for the network as well.
_LOOKS = 0.9

Progress = Callable[[int, int], None]


class HoldsReferences(Protocol):
    """What an audit needs of a gallery."""

    def contents(self) -> AbstractContextManager[Contents]: ...


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two references that are one picture, and how that is known; one of them can go."""

    image_id: str
    other_image_id: str
    product_id: str
    other_product_id: str
    how: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """References of one product that are found as another, the clearest pair as the example."""

    product_id: str
    other_product_id: str
    count: int
    image_id: str
    other_image_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """A reference unlike the others of its product, and the product that it is most like."""

    image_id: str
    product_id: str
    score: float
    other_product_id: str | None
    other_score: float | None


@dataclass(frozen=True, slots=True)
class Advice:
    """A product to photograph, and why."""

    product_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Audit:
    """`recall_at_1` is of the `asked` references that have others of their product; else None."""

    gallery_revision: int
    products: int
    images: int
    asked: int
    recall_at_1: float | None
    confusions: list[Confusion]
    duplicates: list[Duplicate]
    outliers: list[Outlier]
    few_references: list[str]
    similar_references: list[str]
    photograph_next: list[Advice]


@dataclass(frozen=True, slots=True, eq=False)
class _References:
    """N references in the order of their products, M vectors in the order of the references.

    `starts` int64 [N] is the first vector of each, the whole image's; `product` int64 [N] is
    ascending, a place in `product_ids`; the same number in `contents` [N] is the same file.
    """

    product_ids: list[str]
    image_ids: list[str]
    product: NDArray[np.int64]
    starts: NDArray[np.int64]
    vectors: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    contents: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Of each reference: scores [N] and places [N] of the nearest of its own and another product.

    NaN and -1 where there is none. `same` are pairs of places that hold the same picture.
    """

    own: NDArray[np.float64]
    other: NDArray[np.float64]
    other_place: NDArray[np.int64]
    same: list[Duplicate]


def audit(gallery: HoldsReferences, progress: Progress) -> Audit:
    """Look through the whole gallery, which may be used and changed meanwhile.

    Args:
        gallery: whose references are looked through.
        progress: is told references done and all; what it raises ends the work.
    """
    with gallery.contents() as contents:
        revision, images = contents.revision, contents.image_count
        references = _read(contents, lambda done: progress(done, 2 * images))
    found = _compare(references, lambda done: progress(images + done, 2 * images))
    asked = ~np.isnan(found.own)
    missed = asked & (found.other >= found.own)
    counts = np.bincount(references.product, minlength=len(references.product_ids))
    few = [name for name, count in zip(references.product_ids, counts, strict=True) if count < FEW]
    similar = [
        references.product_ids[place]
        for place in np.flatnonzero(counts > 1)
        if not asked[references.product == place].any()
    ]
    confusions = _confusions(references, found, missed)
    return Audit(
        gallery_revision=revision,
        products=len(references.product_ids),
        images=len(references.image_ids),
        asked=int(asked.sum()),
        recall_at_1=float(1 - missed[asked].mean()) if asked.any() else None,
        confusions=confusions,
        duplicates=found.same,
        outliers=_outliers(references, found),
        few_references=few,
        similar_references=similar,
        photograph_next=_advice(confusions, few, similar),
    )


def _read(contents: Contents, progress: Callable[[int], None]) -> _References:
    rows = []
    for done, reference in enumerate(contents.references(), start=1):
        image, look = reference.image, perceptual_hash(reference.thumbnail)
        rows.append((image.product_id, image.id, image.content_sha256, look, reference.vectors))
        progress(done)
    rows.sort(key=lambda row: row[:2])
    names = [row[0] for row in rows]
    with_images, product = np.unique(np.asarray(names, dtype=object), return_inverse=True)
    empty = sorted({p.id for p in contents.products()} - set(with_images.tolist()))
    sizes = [len(row[4]) for row in rows]
    return _References(
        product_ids=[*with_images.tolist(), *empty],
        image_ids=[row[1] for row in rows],
        product=product.astype(np.int64),
        starts=np.cumsum([0, *sizes])[:-1].astype(np.int64),
        vectors=np.concatenate(
            [np.empty((0, contents.dimension), np.float16), *(row[4] for row in rows)]
        ).astype(np.float32),
        hashes=np.asarray([row[3] for row in rows], dtype=np.uint64),
        contents=np.unique([row[2] for row in rows], return_inverse=True)[1].astype(np.int64),
    )


def _compare(references: _References, progress: Callable[[int], None]) -> _Found:
    count = len(references.image_ids)
    whole = references.vectors[references.starts]
    ends = np.append(references.starts, len(references.vectors))
    own, other = np.full(count, np.nan), np.full(count, np.nan)
    nearest = np.full(count, -1, dtype=np.int64)
    same: list[Duplicate] = []
    for start in range(0, count, _AT_ONCE):
        block = np.arange(start, min(start + _AT_ONCE, count))
        rows = slice(ends[start], ends[block[-1] + 1])
        pairs = references.vectors[rows] @ references.vectors.T
        scores = np.maximum.reduceat(pairs, references.starts, axis=1)
        scores = np.maximum.reduceat(scores, references.starts[block] - ends[start], axis=0)
        likeness = whole[block] @ whole.T
        exact = references.contents[block, None] == references.contents
        looks = (likeness >= _LOOKS) & look_alike(references.hashes[block], references.hashes)
        close = likeness >= SAME_PICTURE
        copies = exact | looks | close
        for row, place in np.argwhere(copies):
            if place > start + row:
                ways = {"exact": exact, "perceptual": looks, "embedding": close}
                how = tuple(name for name, flags in ways.items() if flags[row, place])
                score = float(likeness[row, place])
                same.append(_duplicate(references, start + int(row), int(place), how, score))
        kin = references.product[block, None] == references.product
        own[block] = np.where(kin & ~copies, scores, -np.inf).max(axis=1)
        strange = np.where(kin | copies, -np.inf, scores)
        nearest[block] = strange.argmax(axis=1)
        other[block] = strange.max(axis=1)
        progress(int(block[-1]) + 1)
    own[np.isinf(own)] = np.nan
    nearest[np.isinf(other)] = -1
    other[np.isinf(other)] = np.nan
    return _Found(own, other, nearest, same)


def _duplicate(
    references: _References, a: int, b: int, how: tuple[str, ...], score: float
) -> Duplicate:
    of = references.product_ids
    return Duplicate(
        image_id=references.image_ids[a],
        other_image_id=references.image_ids[b],
        product_id=of[references.product[a]],
        other_product_id=of[references.product[b]],
        how=how,
        score=_score(score),
    )


def _confusions(
    references: _References, found: _Found, missed: NDArray[np.bool_]
) -> list[Confusion]:
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place in np.flatnonzero(missed):
        groups[
            int(references.product[place]), int(references.product[found.other_place[place]])
        ].append(int(place))
    confusions = []
    for (product, other), places in groups.items():
        clearest = max(places, key=lambda place: float(found.other[place]))
        confusions.append(
            Confusion(
                product_id=references.product_ids[product],
                other_product_id=references.product_ids[other],
                count=len(places),
                image_id=references.image_ids[clearest],
                other_image_id=references.image_ids[found.other_place[clearest]],
                score=_score(found.other[clearest]),
            )
        )
    return sorted(confusions, key=lambda item: (-item.count, -item.score))


def _outliers(references: _References, found: _Found) -> list[Outlier]:
    """References far below what is usual in this gallery, the least like their product first."""
    known = found.own[~np.isnan(found.own)]
    if not len(known):
        return []
    middle = float(np.median(known))
    spread = float(np.median(np.abs(known - middle)))
    limit = middle - _OUTLYING * spread / _NORMAL
    outliers = []
    for place in np.argsort(found.own, kind="stable"):
        # NaN comes last and is below nothing.
        if not found.own[place] < limit:
            break
        near = int(found.other_place[place])
        outliers.append(
            Outlier(
                image_id=references.image_ids[place],
                product_id=references.product_ids[references.product[place]],
                score=_score(found.own[place]),
                other_product_id=None
                if near < 0
                else references.product_ids[references.product[near]],
                other_score=None if near < 0 else _score(found.other[place]),
            )
        )
    return outliers


def _advice(
    confusions: Sequence[Confusion], few: Sequence[str], similar: Sequence[str]
) -> list[Advice]:
    """Each product once, for its weightiest reason."""
    reasons: dict[str, str] = {}
    for item in confusions:
        reasons.setdefault(
            item.product_id,
            f"It is taken for {item.other_product_id}: photograph the side that tells them apart.",
        )
    for name in similar:
        reasons.setdefault(
            name, "Its references are one picture: photograph it from other sides, in other light."
        )
    for name in few:
        reasons.setdefault(
            name, f"It has fewer than {FEW} references: photograph it from more sides."
        )
    return [Advice(name, reason) for name, reason in reasons.items()]


def _score(value: float | np.float64) -> float:
    # float16 leaves vectors up to 0.1 % longer than 1, and further digits are noise.
    return min(round(float(value), 4), 1.0)
