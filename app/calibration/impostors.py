"""The threshold that a share of impostors reaches, where impostors come in clusters.

A score's place among n others tells how often a new one exceeds it only if they are independent.
Photographs of a product are not: a threshold lies between the scores that it was made from, and a
product that it was not made from reaches it more often.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# Shares of impostors at which the expected rate is worked out.
_STEPS = 64
_MOST = 0.9

Scores = NDArray[np.float64]


class GalleryTooSmall(Exception):
    """The gallery holds too few references to say how often it would be wrong."""


@dataclass(frozen=True, eq=False)
class Impostors:
    """N photographs that should stay below a threshold.

    `products` int64 [N]: what they show. `scores` [N]. `rivals` int64 [N] and `without` [N]: the
    products that they score by, and what they would score without these; -1 where a score is not by
    one of `products`.
    """

    products: NDArray[np.int64]
    scores: Scores
    rivals: NDArray[np.int64]
    without: Scores

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def finest(self) -> float:
        """The smallest rate that so many can tell."""
        return 1 / (len(self) + 1)

    def threshold(self, rate: float) -> float:
        """The score that a share of new photographs expected to be `rate` reaches.

        Raises:
            GalleryTooSmall: there are too few to tell so small a rate.
        """
        if rate < self.finest:
            missing = int(np.ceil(1 / rate)) - 1 - len(self)
            raise GalleryTooSmall(
                f"{len(self)} references can't tell a false-accept rate below "
                f"{self.finest:.2%}: enrol {missing} more, or ask for a higher one."
            )
        return float(reached_by(self.scores, self.share(rate)))

    def expected_rate(self, rate: float) -> float:
        """To expect at the threshold for this rate: a greater one where products are too few."""
        return max(rate, float(self._expected[0]))

    def share(self, rate: float) -> float:
        """Of these scores that may reach the threshold, so that `rate` is expected of new ones."""
        return float(np.interp(rate, self._expected, self._shares))

    @cached_property
    def _shares(self) -> Scores:
        # From the greatest score on.
        return np.geomspace(1 / (len(self) + 1), _MOST, _STEPS)

    @cached_property
    def _expected(self) -> Scores:
        """Rates to expect where so many of these scores reach the threshold as the `_shares` say.

        Each product in turn is taken out, with its photographs and as what others are taken for;
        the threshold is made without it, and its photographs are asked.
        """
        reached = np.zeros(_STEPS)
        # In their order once, so that they are hardly out of it without a product.
        order = np.argsort(-self.scores)
        products, rivals = self.products[order], self.rivals[order]
        scores, without = self.scores[order], self.without[order]
        for product in np.unique(products):
            asked = products == product
            left = np.where(rivals == product, without, scores)[~asked]
            thresholds = reached_by(left, self._shares)
            reached += (scores[asked, None] >= thresholds).sum(axis=0)
        return np.maximum.accumulate(reached / len(self))


def reached_by(scores: Scores, shares: Scores | float) -> Scores:
    """Thresholds that new scores reach as often as the `shares` say, if all are independent.

    A new score exceeds the j-th largest of n with the probability j / (n + 1).
    """
    places = np.arange(1, len(scores) + 1)
    found: Scores = np.interp(
        np.asarray(shares) * (len(scores) + 1), places, -np.sort(-scores, kind="stable")
    )
    return found
