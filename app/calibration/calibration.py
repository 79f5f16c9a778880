"""What a score means in this gallery: the threshold for the false-accept rate that is asked for.

The gallery's own references are asked as if they were customers' photographs
(app.calibration.calibrate). Against all other products each is a photograph of a product that is
not enrolled (leave-one-product-out: an impostor); against the other references of its own it is one
of a product that is (leave-one-image-out: genuine). Rates are those of open-set identification,
ISO/IEC 19795-1: false accepts are photographs of unknown products that are named at all, misses are
photographs of known ones whose product is not the best or does not reach the threshold.

A few products tell a rate badly. What the embedder is known to do among as many (models.thresholds)
counts as much as what so many more of them would show.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.calibration.impostors import Impostors, Scores, reached_by
from app.calibration.reliability import Reliability
from gallery import SearchedSize
from models.thresholds import MatchThreshold

# From this cosine on two references are the same picture: neither tells how another one would do.
SAME_PICTURE = 0.98
# ... if their bodies, where both have one, are so much alike: copies are cut and compressed.
SAME_BODY = 0.9
# Products that tell a threshold as well as what is known of the embedder does, and the factor
# within which that is right about a rate, 9 times in 10 (docs/calibration.md).
_AS_GOOD = 80
_KNOWN_WITHIN = 4
# Of the interval, how often products are halved for it, and draws its quantile is read from.
_LEVEL = 0.9
_HALVINGS = 200
_DRAWS = 100_000
# Fewer degrees of freedom would only say that nothing is known.
_LEAST_FREEDOM = 5


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of N references asked as photographs, at one revision of a gallery.

    `products` int64 [N]: numbers of the products that they show, places in `product_ids`. `others`
    int64 [N, K] and `scores` [N, K]: their best other products, best first, and how these score; -1
    and -1 where there are no more. `genuine` [N]: of its own product from its other references; NaN
    where it has none. `vectors` float16 [N, V, D]: what they asked with; `scenes` bool [N, V]:
    which of these are scenes (gallery.scenes). `reliability`: of the best product by score and
    margin. `size`: of the gallery that photographs are searched in. `usual`: the embedder's.
    """

    revision: int
    product_ids: list[str]
    products: NDArray[np.int64]
    others: NDArray[np.int64]
    scores: Scores
    genuine: Scores
    vectors: NDArray[np.float16]
    scenes: NDArray[np.bool_]
    reliability: Reliability
    size: SearchedSize
    usual: MatchThreshold

    @property
    def product_count(self) -> int:
        """How many products were asked about."""
        return len(np.unique(self.products))

    @property
    def genuine_count(self) -> int:
        """How many references have others of their product."""
        return int(np.count_nonzero(~np.isnan(self.genuine)))

    @cached_property
    def impostors(self) -> Impostors:
        """All of them, against the products that are not theirs."""
        return Impostors(self.products, self.scores[:, 0], self.others[:, 0], self.scores[:, 1])

    def miss_rate(self, threshold: float) -> float:
        """Share of photographs of enrolled products whose product is not named first."""
        asked = ~np.isnan(self.genuine)
        best = self.genuine[asked] > self.scores[asked, 0]
        return float(1 - np.mean(best & (self.genuine[asked] >= threshold)))

    def threshold(self, false_accept_rate: float) -> float:
        """The score from which so many photographs of unknown products are expected to be named.

        Raises:
            GalleryTooSmall: there are too few to tell so small a rate, and nothing else tells it.
        """
        told = self.told(false_accept_rate, self.impostors)
        return self._drawn(self.impostors.threshold(told), told, false_accept_rate)

    def expected_rate(self, false_accept_rate: float) -> float:
        """To expect at the threshold for this rate: a greater one where products are too few.

        By what is known of the embedder it is the one asked for; thresholds go with the logarithm
        of a rate, and so do their means.
        """
        own = self.impostors.expected_rate(false_accept_rate)
        weight = self._weight()
        return float(own**weight * false_accept_rate ** (1 - weight))

    def interval(self, false_accept_rate: float) -> tuple[float, float]:
        """Where 9 times in 10 the false-accept rate of as many unknown products again will lie.

        Half of the products, drawn at random, again and again, stand for a gallery and the others
        for what it does not know. What is then observed spreads, on the arcsine scale where a
        share's variance does not depend on the share, by the root of two more than with twice as
        many products. Student's quantile allows for the few products that decide. What is known of
        the embedder is as uncertain as it counts.
        """
        expected = self.expected_rate(false_accept_rate)
        spread = float(np.std(_even(self._halved(false_accept_rate)))) / np.sqrt(2)
        wrong = self.scores[:, 0] >= self._at_least(self.scores[:, 0], false_accept_rate)
        freedom = max(len(np.unique(self.products[wrong])) - 1, _LEAST_FREEDOM)
        draws = np.random.default_rng(0).standard_t(freedom, _DRAWS)
        middle, doubtful = _even(np.array([expected, min(expected * _KNOWN_WITHIN, 1.0)]))
        doubt = (1 - self._weight()) * (doubtful - middle)
        reach = np.hypot(np.quantile(draws, (1 + _LEVEL) / 2) * spread, doubt)
        low, high = np.sin(np.clip([middle - reach, middle + reach], 0, np.pi / 2)) ** 2
        return float(low), float(high)

    def told(self, rate: float, impostors: Impostors) -> float:
        """The nearest rate that these tell, where what is known of the embedder tells the rest."""
        return max(rate, impostors.finest) if self.usual.growth else rate

    def _weight(self, part: int = 1) -> float:
        """How much the references count beside what is known, with one in `part` products."""
        if not self.usual.growth:
            return 1.0
        return self.product_count / (self.product_count + part * _AS_GOOD)

    def _drawn(self, own: float, told: float, rate: float, part: int = 1) -> float:
        """The threshold for `rate` where references alone say that it is `own` for `told`."""
        own += self.usual.further(told, rate)
        usual = self.usual.at_rate(rate, self.size.products // part, self.size.images // part)
        weight = self._weight(part)
        # Higher than the greatest score it would name nothing, whatever it is.
        return min(float(weight * own + (1 - weight) * usual), 1.0)

    def _at_least(self, scores: Scores, rate: float, part: int = 1) -> float:
        """The threshold from the scores of one in `part` products."""
        told = self.told(rate, self.impostors)
        own = float(reached_by(scores, self.impostors.share(told)))
        return self._drawn(own, told, rate, part)

    def _halved(self, rate: float) -> Scores:
        """Rates observed on one half of the products with a gallery of the other."""
        rng = np.random.default_rng(0)
        count = len(self.product_ids)
        rates = []
        for _ in range(_HALVINGS):
            enrolled = np.zeros(count, dtype=np.bool_)
            enrolled[rng.permutation(count)[: count // 2]] = True
            # Where none of its K best is enrolled, any other one scores less than the worst.
            best = np.where(enrolled[self.others], self.scores, self.scores.min(axis=1)[:, None])
            known, scores = enrolled[self.products], best.max(axis=1)
            if known.any() and not known.all():
                rates.append(np.mean(scores[~known] >= self._at_least(scores[known], rate, 2)))
        return np.asarray(rates)


def _even(shares: Scores) -> Scores:
    """Shares on the scale where their variance does not depend on them."""
    even: Scores = np.arcsin(np.sqrt(shares))
    return even


def same_picture(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether two references, vectors [V, D] with the whole image's first, are one picture."""
    if float(a[0] @ b[0]) < SAME_PICTURE:
        return False
    # Where a camera stands still, whole images of two products can be that much alike.
    return min(len(a), len(b)) < 2 or float((a[1:] @ b[1:].T).max()) >= SAME_BODY
