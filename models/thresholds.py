"""How the score from which a product is named grows with the gallery.

A photograph of a product that nobody enrolled gets the best of as many scores as there are products
to mistake it for. The score that a given share of such photographs reaches therefore grows with the
logarithm of their number, and by as much again for each tenth of the share: the law of extremes
where great scores are exponentially rare (Gumbel, 1958). Photographs of one product are alike, so
that many of them count as their square root. How well it holds is measured by `bench.thresholds`
(docs/calibration.md).
"""

from dataclasses import dataclass
from math import log10, sqrt

USUAL_RATE = 0.05
# Between which a rate can be asked for.
FINEST_RATE, COARSEST_RATE = 0.0001, 0.5
# From so many products with one photograph each on a threshold is the highest, and up to so few the
# lowest: what a till is shown beside its first products is more often their like.
MANY, FEW = 100, 8


@dataclass(frozen=True, slots=True)
class MatchThreshold:
    """Of an embedder, in inner products of unit vectors.

    `highest`: reached by a share USUAL_RATE of photographs of unknown products, among MANY products
    of one photograph each. `growth`: by so much it is higher for each tenfold; 0 where that is not
    known, and the threshold is the highest whatever the gallery.
    """

    highest: float
    growth: float = 0.0

    def among(self, products: int, images: int, rate: float | None = None) -> float:
        """From which a product is named where nothing but the pack tells it.

        For a `rate` as `at_rate`. Without one it stays the highest in greater galleries: a till
        would rather offer a wrong product at times than none.
        """
        if rate is not None:
            return self.at_rate(rate, products, images)
        return min(self.highest, self.at_rate(USUAL_RATE, products, images))

    def at_rate(self, rate: float, products: int, images: int) -> float:
        """The score that a share `rate` of photographs of unknown products is expected to reach.

        Args:
            rate: more than 0, at most 1.
            products: in the gallery; those without images do not count.
            images: of them all.
        """
        kinds = max(sqrt(min(products, images) * images), FEW)
        found = self.highest + self.growth * log10(kinds / MANY * USUAL_RATE / rate)
        return min(max(found, -1.0), 1.0)

    def further(self, rate: float, finer: float) -> float:
        """By how much the threshold for the finer rate is higher, whatever the gallery."""
        return self.growth * log10(rate / finer)

    @classmethod
    def measured(cls, score: float, growth: float, products: int, images: int) -> "MatchThreshold":
        """That of an embedder of which `score` was reached by USUAL_RATE in such a gallery."""
        below = cls(score, growth).among(products, images) - score
        return cls(min(score - below, 1.0), growth)
