"""Every reference of a gallery compared with every other (leave-one-image-out).

By products they are compared as a request is (gallery.leaning), two of them by their best pair of
vectors as these are. A reference that is the same picture as another proves nothing about it and is
left out there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.audit.perceptual import appearance
from app.calibration.calibration import SAME_BODY, SAME_PICTURE
from gallery import Contents
from gallery.leaning import leaned_references, product_scores
from gallery.scenes import best_scores, scene_rows
from gallery.scenes import scores as scores_of

_AT_ONCE = 128
# Best references of a product that its likeness to another reference is the mean of.
_SEVERAL = 3
# Pictures are the same where both the network and the pixels say so; the surer one is, the less is
# asked of the other. Measured on copies made smaller, lighter and cut (docs/benchmarks.md).
_SAME_PIXELS, _LIKE = 0.98, 0.7
_SIMILAR_PIXELS, _ALIKE = 0.92, 0.88
# Where a camera stands still, whole images of any two products are alike, to the eye, too. Of 40 on
# one spot, a third of the picture high, 47 pairs of pictures were told as one without this, 4 with.
_LIKE_BODY = 0.5

Flags = NDArray[np.bool_]
Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """N references in the order of their products, M vectors in the order of the references.

    `edges` int64 [N + 1]: the vectors of each, the whole image's first, are those from its edge to
    the next one. `product` int64 [N] is ascending, a place in `product_ids`; the same number in
    `contents` [N] is the same file.
    """

    product_ids: list[str]
    image_ids: list[str]
    product: NDArray[np.int64]
    edges: NDArray[np.int64]
    vectors: NDArray[np.float32]
    looks: NDArray[np.float32]
    contents: NDArray[np.int64]

    def product_of(self, place: int) -> str:
        return self.product_ids[int(self.product[place])]


@dataclass(frozen=True, slots=True)
class SamePicture:
    """Places of two references that are one picture, how that is known, and the network's score."""

    place: int
    other: int
    how: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Of each of N references, by what is not the same picture; NaN and -1 where there is none.

    `own`, `other` [N]: the scores of its own and of the best other product, the latter by the
    reference at `nearest` int64 [N]. `own_mean`, `other_mean` [N]: the mean of the best three of
    its own product and of that other one, each as it is.
    """

    own: Scores
    other: Scores
    nearest: NDArray[np.int64]
    own_mean: Scores
    other_mean: Scores
    same: list[SamePicture]

    @property
    def asked(self) -> Flags:
        """Those that have others of their product."""
        return ~np.isnan(self.own)

    @property
    def missed(self) -> Flags:
        """Those of them that are found as another product."""
        return self.asked & (self.other >= self.own)


def read(contents: Contents, progress: Callable[[int], None]) -> References:
    """All references; `progress` is told how many are read."""
    rows = []
    for done, reference in enumerate(contents.references(), start=1):
        image, look = reference.image, appearance(reference.thumbnail)
        rows.append((image.product_id, image.id, image.content_sha256, look, reference.vectors))
        progress(done)
    rows.sort(key=lambda row: row[:2])
    names = [row[0] for row in rows]
    with_images, product = np.unique(np.asarray(names, dtype=object), return_inverse=True)
    empty = sorted({p.id for p in contents.products()} - set(with_images.tolist()))
    sizes = [len(row[4]) for row in rows]
    return References(
        product_ids=[*with_images.tolist(), *empty],
        image_ids=[row[1] for row in rows],
        product=product.astype(np.int64),
        edges=np.cumsum([0, *sizes], dtype=np.int64),
        vectors=np.concatenate(
            [np.empty((0, contents.dimension), np.float16), *(row[4] for row in rows)]
        ).astype(np.float32),
        looks=np.asarray([row[3] for row in rows], np.float32),
        contents=np.unique([row[2] for row in rows], return_inverse=True)[1].astype(np.int64),
    )


def compare(references: References, progress: Callable[[int], None]) -> Neighbours:
    """Each with all; `progress` is told how many are done."""
    count = len(references.image_ids)
    edges = references.edges
    starts = edges[:-1]
    whole = references.vectors[starts]
    scenes = scene_rows(np.repeat(np.arange(count), np.diff(edges)))
    several = scenes[starts]
    bodies = references.vectors[starts + several]
    bounds = np.searchsorted(references.product, np.arange(len(references.product_ids) + 1))
    own, other, own_mean, other_mean = np.full((4, count), np.nan)
    nearest = np.full(count, -1, dtype=np.int64)
    same: list[SamePicture] = []
    compared = _compared(references, bounds)

    def of(place: int | np.integer) -> slice:
        return slice(edges[place], edges[place + 1])

    def best_of(
        place: int | np.integer, product: int | np.integer, copies: Flags
    ) -> tuple[list[Vectors], Vectors]:
        """A product's references that are no copies, and the best scores of these as they are."""
        places = np.arange(int(bounds[product]), int(bounds[product + 1]))
        others = [references.vectors[of(i)] for i in places[~copies[places]]]
        asked, flags = references.vectors[of(place)], scenes[of(place)]
        found = [float(best_scores(asked, flags, rows).max()) for rows in others]
        return others, np.sort(np.asarray(found, np.float32))[-_SEVERAL:]

    for start in range(0, count, _AT_ONCE):
        block = np.arange(start, min(start + _AT_ONCE, count))
        rows = slice(edges[start], edges[block[-1] + 1])
        pairs = scores_of(references.vectors[rows], scenes[rows], compared, scenes)
        scores = np.maximum.reduceat(pairs, starts, axis=1)
        scores = np.maximum.reduceat(scores, starts[block] - edges[start], axis=0)
        likeness = whole[block] @ whole.T
        both = several[block, None] & several
        bodily = np.where(both, bodies[block] @ bodies.T, np.float32(1))
        ways = _same(references, block, likeness, bodily)
        copies = np.logical_or.reduce(list(ways.values()))
        for row, place in np.argwhere(copies):
            if place > start + row:
                how = tuple(name for name, flags in ways.items() if flags[row, place])
                pair = start + int(row), int(place)
                same.append(SamePicture(*pair, how, float(likeness[row, place])))
        kin = references.product[block, None] == references.product
        others = np.where(kin | copies, -np.inf, scores)
        nearest[block] = others.argmax(axis=1)
        other[block] = others.max(axis=1)
        for row, place in enumerate(block):
            siblings, best = best_of(place, references.product[place], copies[row])
            if siblings:
                asked, flags = references.vectors[of(place)], scenes[of(place)]
                own[place] = product_scores(asked, flags, siblings).max()
                own_mean[place] = best.mean()
            if other[place] > -np.inf:
                _, best = best_of(place, references.product[nearest[place]], copies[row])
                other_mean[place] = best.mean()
        progress(int(block[-1]) + 1)
    nearest[np.isinf(other)] = -1
    other[np.isinf(other)] = np.nan
    return Neighbours(own, other, nearest, own_mean, other_mean, same)


def _same(
    references: References,
    block: NDArray[np.int64],
    likeness: NDArray[np.float32],
    bodily: NDArray[np.float32],
) -> dict[str, Flags]:
    """How each of the block [b] is the same picture as each of all [N]: flags bool [b, N].

    `likeness` [b, N] is that of the whole images, `bodily` [b, N] that of the bodies, 1 where not
    both have one.
    """
    # Pixels are compared where the network sees a likeness at all.
    near = np.flatnonzero((likeness >= _LIKE).any(axis=0))
    correlation = np.zeros_like(likeness)
    correlation[:, near] = references.looks[block] @ references.looks[near].T
    return {
        "exact": references.contents[block, None] == references.contents,
        "perceptual": (bodily >= _LIKE_BODY)
        & (
            ((correlation >= _SAME_PIXELS) & (likeness >= _LIKE))
            | ((correlation >= _SIMILAR_PIXELS) & (likeness >= _ALIKE))
        ),
        "embedding": (likeness >= SAME_PICTURE) & (bodily >= SAME_BODY),
    }


def _compared(references: References, bounds: NDArray[np.int64]) -> Vectors:
    """All vectors [M, D] as their products are compared by them."""
    edges = references.edges
    leaned = [
        rows
        for first, last in pairwise(bounds.tolist())
        for rows in leaned_references(
            [references.vectors[edges[i] : edges[i + 1]] for i in range(first, last)]
        )
    ]
    return np.concatenate([np.empty((0, references.vectors.shape[1]), np.float32), *leaned])
