"""Is this the product whose code was scanned: one photograph against one product's references.

Rates are those of verification, ISO/IEC 19795-1, for photographs of other products that claim to be
this one. They come from the references that the calibration asked, so every product has its own
threshold: one that looks like many others has a higher one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.calibration.calibration import SAME_PICTURE, Calibration
from app.calibration.impostors import Impostors, Scores
from app.calibration.reliability import Reliability, fit_reliability
from app.references import References, reference_scores
from gallery import Candidate, Filter, Searches
from gallery.scenes import best_scores
from models.thresholds import MatchThreshold

Verdict = Literal["match", "no_match", "uncertain"]

_NOTHING = -1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a score of the claimed product means.

    From `match` on so few other products come that it is taken for this one. Below `no_match`
    so few of its own photographs lie that it is taken for another; None where that is not known.
    `reliability`: by the score and how far it is above the best other product's; None where nothing
    was calibrated.
    """

    match: float
    no_match: float | None
    reliability: Reliability | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The region, a place among those asked, that matches the claimed product best, and how.

    `image_id`: the reference that it matches. `rival`: the best other product of that region, if
    there is one. `margin`: how far the score is above the rival's.
    """

    region: int
    score: float
    image_id: str
    rival: Candidate | None

    @property
    def margin(self) -> float | None:
        return None if self.rival is None else self.score - self.rival.score

    def verdict(self, limits: Limits, ambiguous_margin: float) -> Verdict:
        """By the score, unless another product is clearly better or its own often score so low."""
        rivalled = self.margin is not None and self.margin <= -ambiguous_margin
        if self.score >= limits.match:
            return "uncertain" if rivalled else "match"
        lowest = _NOTHING if limits.no_match is None else limits.no_match
        return "no_match" if rivalled or self.score < lowest else "uncertain"

    def probability(self, limits: Limits) -> float | None:
        """That the claim is right, where as many are wrong; None where nothing was calibrated."""
        if limits.reliability is None:
            return None
        # A gallery's only product has no rival to fear.
        margin = 1.0 if self.margin is None else self.margin
        return limits.reliability.probability(self.score, margin)


def claimed(
    gallery: Searches,
    product_id: str,
    references: References,
    regions: NDArray[np.float32],
    scenes: NDArray[np.bool_],
    where: Filter | None = None,
) -> Claim | None:
    """How the regions' vectors [R, D] match a product by its references; None where it has none.

    `scenes` [R]: gallery.scenes. `where`: only products with such metadata are rivals.
    """
    if not references:
        return None
    scores = reference_scores(references, regions, scenes)
    table = np.stack(list(scores.values()))
    image, region = (int(place) for place in np.unravel_index(table.argmax(), table.shape))
    asked = slice(region, region + 1)
    found = gallery.search(regions[asked], 2, where, scenes[asked]).candidates[0]
    rival = next((other for other in found if other.product_id != product_id), None)
    return Claim(region, float(table[image, region]), list(scores)[image], rival)


def limits(
    calibration: Calibration, product_id: str, references: References, false_accept_rate: float
) -> Limits | None:
    """What a score of the product means where so many false accepts may be.

    None where it has no references.

    Raises:
        GalleryTooSmall: there are too few photographs of other products to tell.
    """
    if not references:
        return None
    asked = calibration.vectors.astype(np.float32)
    count, views, dimension = asked.shape
    queries, scenes = asked.reshape(-1, dimension), calibration.scenes.ravel()
    rows = reference_scores(references, queries, scenes)
    table = np.max(list(rows.values()), axis=0).reshape(count, views).astype(np.float64)
    # As they are, whatever they lean to.
    as_stored = [
        best_scores(queries, scenes, vectors.astype(np.float32)) for vectors in references.values()
    ]
    alike = np.max(as_stored, axis=0).reshape(count, views)
    scores = np.where((alike >= SAME_PICTURE).any(axis=1), _NOTHING, table.max(axis=1))
    number = (
        calibration.product_ids.index(product_id)
        if product_id in calibration.product_ids
        else len(calibration.product_ids)
    )
    others = calibration.products != number
    products = calibration.products[others]
    impostors = Impostors(
        products, scores[others], rivals=np.full(len(products), -1), without=scores[others]
    )
    genuine = calibration.genuine[~np.isnan(calibration.genuine)]
    told = calibration.told(false_accept_rate, impostors)
    match = impostors.threshold(told) + calibration.usual.further(told, false_accept_rate)
    return Limits(
        match=match,
        no_match=min(match, float(np.quantile(genuine, false_accept_rate))),
        reliability=_reliability(calibration, number, scores),
    )


def usual_limits(usual: MatchThreshold, false_accept_rate: float) -> Limits:
    """What a score means by what is known of the embedder: where references tell nothing."""
    return Limits(usual.at_rate(false_accept_rate, 1, 1), no_match=None, reliability=None)


def _reliability(calibration: Calibration, number: int, scores: Scores) -> Reliability:
    """Of right claims, of any product, and as many wrong ones, of this product.

    What claims wrongly may be enrolled itself, and then its own product is a rival, or not.
    """
    has_own = ~np.isnan(calibration.genuine)
    right = calibration.genuine[has_own]
    rival = calibration.impostors.scores
    others = calibration.products != number
    best_other = np.where(calibration.others[:, 0] == number, calibration.scores[:, 1], rival)
    with_own = np.fmax(best_other, calibration.genuine)
    wrong = np.tile(scores[others], 2)
    margins = np.concatenate(
        [
            right - rival[has_own],
            scores[others] - best_other[others],
            scores[others] - with_own[others],
        ]
    )
    total = len(right) + len(wrong)
    return fit_reliability(
        np.concatenate([right, wrong]),
        margins,
        np.arange(total) < len(right),
        np.repeat([total / 2 / len(right), total / 2 / len(wrong)], [len(right), len(wrong)]),
    )
