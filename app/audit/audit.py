"""What is wrong with a gallery, found by asking its own references (leave-one-image-out)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app.audit.neighbours import Neighbours, References, compare, read
from gallery import HoldsContents

# Fewer references than this miss sides of a product.
FEW = 3
# Modified z-score from which a value is an outlier (Iglewicz and Hoaglin, 1993).
_OUTLYING = 3.5
_NORMAL = 0.6745  # a normal distribution's median absolute deviation
# Chosen on planted faults (docs/benchmarks.md). Likeness to another product above that to its own,
# from which a label is in doubt.
_MISLABELLED = 0.25
# Two products look alike from this share of their references that are found as the other's, where
# such are among those of both; from the larger one where they are among those of one alone.
_LOOKS_ALIKE, _EITHER_WAY, _ONE_WAY = 0.2, 0.1, 0.3
_AT_LEAST = 2

Progress = Callable[[int, int], None]


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
class LookAlike:
    """Two products found as each other so often that a till should offer both.

    `share`: of the references of both, those found as the other.
    """

    product_id: str
    other_product_id: str
    share: float
    image_id: str
    other_image_id: str


@dataclass(frozen=True, slots=True)
class Mislabelled:
    """A reference far more like another product than like its own.

    Scores: the mean of its best three in each; `other_image_id` is the best of the other product.
    """

    image_id: str
    product_id: str
    score: float
    other_product_id: str
    other_image_id: str
    other_score: float


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
    mislabelled: list[Mislabelled]
    look_alikes: list[LookAlike]
    confusions: list[Confusion]
    duplicates: list[Duplicate]
    outliers: list[Outlier]
    few_references: list[str]
    similar_references: list[str]
    photograph_next: list[Advice]


def audit(gallery: HoldsContents, progress: Progress) -> Audit:
    """Look through the whole gallery, which may be used and changed meanwhile.

    Args:
        gallery: whose references are looked through.
        progress: is told references done and all; what it raises ends the work.
    """
    with gallery.contents() as contents:
        revision, images = contents.revision, contents.image_count
        references = read(contents, lambda done: progress(done, 2 * images))
    found = compare(references, lambda done: progress(images + done, 2 * images))
    asked, missed = found.asked, found.missed
    counts = np.bincount(references.product, minlength=len(references.product_ids))
    few = [name for name, count in zip(references.product_ids, counts, strict=True) if count < FEW]
    similar = [
        references.product_ids[place]
        for place in np.flatnonzero(counts > 1)
        if not asked[references.product == place].any()
    ]
    mislabelled = _mislabelled(references, found)
    confusions = _confusions(references, found)
    return Audit(
        gallery_revision=revision,
        products=len(references.product_ids),
        images=len(references.image_ids),
        asked=int(asked.sum()),
        recall_at_1=float(1 - missed[asked].mean()) if asked.any() else None,
        mislabelled=mislabelled,
        look_alikes=_look_alikes(references, found, confusions),
        confusions=confusions,
        duplicates=_duplicates(references, found),
        outliers=_outliers(references, found, {item.image_id for item in mislabelled}),
        few_references=few,
        similar_references=similar,
        photograph_next=_advice(confusions, few, similar),
    )


def _duplicates(references: References, found: Neighbours) -> list[Duplicate]:
    return [
        Duplicate(
            image_id=references.image_ids[pair.place],
            other_image_id=references.image_ids[pair.other],
            product_id=references.product_of(pair.place),
            other_product_id=references.product_of(pair.other),
            how=pair.how,
            score=_score(pair.score),
        )
        for pair in found.same
    ]


def _mislabelled(references: References, found: Neighbours) -> list[Mislabelled]:
    """The surest first."""
    excess = found.other_mean - found.own_mean
    # NaN is over nothing.
    places = [int(place) for place in np.flatnonzero(excess > _MISLABELLED)]
    return [
        Mislabelled(
            image_id=references.image_ids[place],
            product_id=references.product_of(place),
            score=_score(found.own_mean[place]),
            other_product_id=references.product_of(int(found.nearest[place])),
            other_image_id=references.image_ids[found.nearest[place]],
            other_score=_score(found.other_mean[place]),
        )
        for place in sorted(places, key=lambda place: -excess[place])
    ]


def _confusions(references: References, found: Neighbours) -> list[Confusion]:
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place in np.flatnonzero(found.missed):
        groups[
            int(references.product[place]), int(references.product[found.nearest[place]])
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
                other_image_id=references.image_ids[found.nearest[clearest]],
                score=_score(found.other[clearest]),
            )
        )
    return sorted(confusions, key=lambda item: (-item.count, -item.score))


def _look_alikes(
    references: References, found: Neighbours, confusions: Sequence[Confusion]
) -> list[LookAlike]:
    """The most alike first."""
    asked = Counter(references.product_of(int(place)) for place in np.flatnonzero(found.asked))
    taken = {(item.product_id, item.other_product_id): item for item in confusions}
    pairs: list[LookAlike] = []
    for item in confusions:
        one, other = item.product_id, item.other_product_id
        # Of both directions the first one is the more frequent.
        if taken.pop((one, other), None) is None:
            continue
        back = taken.pop((other, one), None)
        returned = back.count if back else 0
        if item.count + returned < _AT_LEAST:
            continue
        share = (item.count + returned) / (asked[one] + asked[other])
        mutual = returned >= _EITHER_WAY * asked[other] and item.count >= _EITHER_WAY * asked[one]
        if share >= (_LOOKS_ALIKE if mutual and returned else _ONE_WAY):
            pairs.append(LookAlike(one, other, _score(share), item.image_id, item.other_image_id))
    return sorted(pairs, key=lambda pair: -pair.share)


def _outliers(references: References, found: Neighbours, told: set[str]) -> list[Outlier]:
    """References far below what is usual in this gallery, the least like their product first.

    Without those `told` of already.
    """
    known = found.own[found.asked]
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
        if references.image_ids[place] in told:
            continue
        near = int(found.nearest[place])
        outliers.append(
            Outlier(
                image_id=references.image_ids[place],
                product_id=references.product_of(int(place)),
                score=_score(found.own[place]),
                other_product_id=None if near < 0 else references.product_of(near),
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
