"""What a score means in this gallery: the threshold for the false-accept rate that is asked for.

The gallery's own references are asked as if they were customers' photographs. Against all other
products each is a photograph of a product that is not enrolled (leave-one-product-out: an
impostor); against the other references of its own it is one of a product that is (leave-one-image-
out: genuine). A photograph asks with several vectors and its best one counts, as in a request.
Rates are those of open-set identification, ISO/IEC 19795-1: false accepts are photographs of
unknown products that are named at all, misses are photographs of known ones whose product is not
the best or does not reach the threshold.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gallery import Contents, SearchResult

# From this cosine on two references are the same picture: neither tells how another one would do.
SAME_PICTURE = 0.98
# References asked; what is a matter of chance in the answer then comes from the products.
_QUERIES = 2000
_AT_ONCE = 16
# Own product and one other, and some that are left out because they hold the same picture.
_DEEP = 4
_LEAST_GENUINE = 10
# Of the interval, and how many draws it is read from.
_LEVEL = 0.9
_DRAWS = 20_000

Scores = NDArray[np.float64]


class GalleryTooSmall(Exception):
    """The gallery holds too few references to say how often it would be wrong."""


class HoldsReferences(Protocol):
    """What calibration needs of a gallery."""

    def contents(self) -> AbstractContextManager[Contents]: ...

    def search(self, vectors: NDArray[np.float32], k: int) -> SearchResult: ...


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Scores of N references asked as photographs, at one revision of a gallery.

    `products` int64 [N]: which of them show the same product. `impostor` [N]: of the best other
    product. `genuine` [N]: of its own product from its other references; NaN where it has none.
    """

    revision: int
    products: NDArray[np.int64]
    impostor: Scores
    genuine: Scores

    @property
    def genuine_count(self) -> int:
        return int(np.count_nonzero(~np.isnan(self.genuine)))

    def threshold(self, false_accept_rate: float) -> float:
        """The score that a share of impostors expected to be `false_accept_rate` reaches.

        Raises:
            GalleryTooSmall: there are too few impostors to tell so small a rate.
        """
        count = len(self.impostor)
        # A new score exceeds the j-th largest of n with the probability j / (n + 1).
        place = false_accept_rate * (count + 1)
        if place < 1:
            missing = int(np.ceil(1 / false_accept_rate)) - 1 - count
            raise GalleryTooSmall(
                f"{count} references can't tell a false-accept rate below {1 / (count + 1):.2%}: "
                f"enrol {missing} more, or ask for a higher one."
            )
        ranked = np.sort(self.impostor)[::-1]
        return float(np.interp(place, np.arange(1, count + 1), ranked))

    def miss_rate(self, threshold: float) -> float:
        """Share of photographs of enrolled products whose product is not named first."""
        asked = ~np.isnan(self.genuine)
        best = self.genuine[asked] > self.impostor[asked]
        return float(1 - np.mean(best & (self.genuine[asked] >= threshold)))

    def interval(self, threshold: float) -> tuple[float, float]:
        """Where 9 times in 10 the false-accept rate of as many unknown products again will lie.

        Photographs of one product go wrong together, so they count as fewer (effective sample
        size: Korn and Graubard, Survey Methodology 24, 1998); the rate is drawn from its posterior
        (Jeffreys), what is observed of it from the binomial.
        """
        wrong = self.impostor >= threshold
        rate = float(wrong.mean())
        count = _effective_size(wrong, self.products)
        rng = np.random.default_rng(0)
        rates = rng.beta(rate * count + 0.5, (1 - rate) * count + 0.5, _DRAWS)
        observed = rng.binomial(round(count), rates) / round(count)
        low, high = np.quantile(observed, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        return float(low), float(high)


def calibrate(gallery: HoldsReferences, proceed: Callable[[], None] = lambda: None) -> Calibration:
    """Ask the references of `gallery`, or a sample of them, as it answers customers.

    Args:
        gallery: may be changed and searched meanwhile.
        proceed: called now and then; what it raises ends the work.

    Raises:
        GalleryTooSmall: fewer than two products, or too few with a second image.
    """
    with gallery.contents() as contents:
        revision = contents.revision
        chosen = _sample(contents, proceed)
    if len({query.product_id for query in chosen}) < 2:
        raise GalleryTooSmall(
            "Calibration compares products with each other: enrol references of two at least."
        )
    impostor: list[float] = []
    for start in range(0, len(chosen), _AT_ONCE):
        proceed()
        impostor += _best_others(gallery, chosen[start : start + _AT_ONCE])
    # One whose only likes hold the same picture tells nothing.
    known = ~np.isnan(impostor)
    found = Calibration(
        revision,
        np.unique([query.product_id for query in chosen], return_inverse=True)[1][known],
        np.asarray(impostor)[known],
        np.asarray([query.genuine for query in chosen])[known],
    )
    if found.genuine_count < _LEAST_GENUINE:
        raise GalleryTooSmall(
            f"{found.genuine_count} references have another one of their product that is not the "
            f"same picture; {_LEAST_GENUINE} are needed. Enrol second photographs of the products."
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """A reference asked as a photograph: its vectors float32 [V, D], its score by the others."""

    product_id: str
    vectors: NDArray[np.float32]
    genuine: float


def _sample(contents: Contents, proceed: Callable[[], None]) -> list[_Query]:
    """References of as many products as can be, and of each of them as many.

    In an order that is random and always the same.
    """
    ids = [product.id for product in contents.products() if product.image_count]
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
    return chosen


def _leave_one_out(references: list[NDArray[np.float32]], left: int) -> float:
    """The best score of a product's reference by its other ones; NaN where there are none."""
    scores = [
        float((rows @ references[left].T).max())
        for i, rows in enumerate(references)
        if i != left and not same_picture(rows, references[left])
    ]
    return max(scores, default=float("nan"))


def same_picture(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether two references, vectors [V, D] with the whole image's first, are one picture."""
    return float(a[0] @ b[0]) >= SAME_PICTURE


def _best_others(gallery: HoldsReferences, queries: list[_Query]) -> list[float]:
    """For each query the best score of a product that is not its own; NaN where there is none."""
    found = gallery.search(np.concatenate([query.vectors for query in queries]), _DEEP)
    rows = iter(found.candidates)
    return [
        max(
            (
                candidate.score
                for _ in query.vectors
                for candidate in next(rows)
                if candidate.product_id != query.product_id and candidate.score < SAME_PICTURE
            ),
            default=float("nan"),
        )
        for query in queries
    ]


def _effective_size(wrong: NDArray[np.bool_], products: NDArray[np.int64]) -> float:
    """How many independent photographs tell the share of the `wrong` [N] as surely as these."""
    count, rate = len(wrong), float(wrong.mean())
    if rate in (0.0, 1.0):
        return float(len(np.unique(products)))
    # How far each product's number of wrong ones is from its share: the ratio estimator's variance.
    excess = np.bincount(products, weights=wrong - rate)
    excess = excess[np.unique(products)]
    clusters = len(excess)
    variance = clusters / (clusters - 1) * float(np.square(excess).sum()) / count**2
    return float(np.clip(rate * (1 - rate) / variance, 1, count))
