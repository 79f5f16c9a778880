"""One photograph against one product, with vectors whose scores are known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.calibration.calibrate import calibrate
from app.calibration.calibration import Calibration
from app.calibration.impostors import GalleryTooSmall
from app.calibration.reliability import Reliability
from app.references import references_of
from app.verification import Claim, Limits, claimed, limits, usual_limits
from gallery import Candidate, Gallery, UnknownProduct
from gallery.scenes import scenes_of
from models.thresholds import MatchThreshold
from tests.app.test_calibration import DIMENSION, PLAIN, filled, views
from tests.gallery.samples import new_image

NO_SCENES = np.zeros(2, np.bool_)
LIMITS = Limits(match=0.6, no_match=0.4, reliability=Reliability(0, 1, 1))


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with filled(tmp_path, products=40, photographs=4) as opened:
        yield opened


def claim(score: float, rival: float | None = None) -> Claim:
    other = None if rival is None else Candidate("other", "Other", rival, "image")
    return Claim(region=0, score=score, image_id="one", rival=other)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (claim(0.6), "match"),
        (claim(0.7, 0.5), "match"),
        (claim(0.7, 0.71), "match"),  # look-alikes: either may be it, and it was said which
        (claim(0.7, 0.75), "uncertain"),
        (claim(0.59, 0.3), "uncertain"),
        (claim(0.59, 0.7), "no_match"),
        (claim(0.39), "no_match"),
    ],
)
def test_verdicts(made: Claim, verdict: str) -> None:
    assert made.verdict(LIMITS, 0.02) == verdict


def test_the_region_that_matches_the_claimed_product_counts(gallery: Gallery) -> None:
    own = gallery.list_images("p003")[0].id
    with gallery.contents() as contents:
        wanted = contents.vectors("p003")[own][1].astype(np.float32)
        beside = contents.vectors("p004")[gallery.list_images("p004")[0].id][0].astype(np.float32)
    found = claimed(
        gallery, "p003", references_of(gallery, "p003"), np.stack([beside, wanted]), NO_SCENES
    )
    assert found is not None
    assert (found.region, found.image_id) == (1, own)
    assert 0.9 < found.score < 1  # as it leans to the other ones
    assert found.rival is not None
    assert found.rival.product_id != "p003"
    assert found.margin == pytest.approx(found.score - found.rival.score)


def test_products_that_can_not_be_claimed(gallery: Gallery) -> None:
    gallery.put_product("bare", "Bare", {})
    query = np.ones((1, DIMENSION), np.float32)
    none = references_of(gallery, "bare")
    assert claimed(gallery, "bare", none, query, NO_SCENES[:1]) is None
    assert limits(calibrate(gallery, PLAIN), "bare", none, 0.05) is None
    with pytest.raises(UnknownProduct):
        references_of(gallery, "nothing")


def test_wrong_claims_pass_as_often_as_asked(gallery: Gallery) -> None:
    calibration = calibrate(gallery, PLAIN)
    rng = np.random.default_rng(8)
    strangers = [views(centre, 1, rng)[0] for centre in rng.standard_normal((150, DIMENSION)) / 8]
    passed: list[bool] = []
    for number in range(0, 40, 4):
        product = f"p{number:03}"
        found = judged(calibration, gallery, product, 0.1)
        passed += [score >= found.match for score in scores(gallery, product, strangers)]
    assert 0.05 < np.mean(passed) < 0.2


def test_a_right_claim_is_likelier_than_a_wrong_one(gallery: Gallery) -> None:
    found = judged(calibrate(gallery, PLAIN), gallery, "p007", 0.05)
    assert found.no_match is not None
    assert found.no_match <= found.match
    right, wrong = claim(0.7, 0.3).probability(found), claim(0.2, 0.4).probability(found)
    assert right is not None
    assert wrong is not None
    assert wrong < 0.1 < 0.9 < right
    assert claim(0.7).probability(Limits(0.5, 0.5, None)) is None


def test_a_product_like_many_others_needs_more(gallery: Gallery) -> None:
    # A reference amid four others, a tenth of all.
    with gallery.contents() as contents:
        some = [
            rows.astype(np.float64)
            for number in range(4)
            for rows in contents.vectors(f"p{number:03}").values()
        ]
    gallery.put_product("plain", "Plain", {})
    gallery.add_images("plain", [new_image("plain", np.concatenate(some).mean(axis=0)[None])])
    calibration = calibrate(gallery, PLAIN)
    plain = judged(calibration, gallery, "plain", 0.05).match
    usual = np.median(
        [judged(calibration, gallery, f"p{n:03}", 0.05).match for n in range(5, 40, 5)]
    )
    assert plain > usual + 0.05


def test_rates_finer_than_references_tell(gallery: Gallery) -> None:
    with pytest.raises(GalleryTooSmall):
        limits(calibrate(gallery, PLAIN), "p007", references_of(gallery, "p007"), 0.001)
    known = calibrate(gallery, MatchThreshold(0.5, 0.14))
    finest = 1 / (40 * 4 - 4 + 1)  # by the photographs of the other products
    told, tenth = (judged(known, gallery, "p007", rate) for rate in (finest, finest / 10))
    assert tenth.match == pytest.approx(told.match + 0.14)
    assert tenth.no_match is not None
    assert tenth.no_match <= tenth.match


def test_what_is_known_of_the_embedder_judges_where_nothing_else_does() -> None:
    known = MatchThreshold(0.5, 0.1)
    found = usual_limits(known, 0.05)
    assert found.match == known.among(1, 1)
    assert found.no_match is found.reliability is None
    assert claim(found.match).verdict(found, 0.02) == "match"
    assert claim(-1.0).verdict(found, 0.02) == "uncertain"
    assert claim(0.2, 0.3).verdict(found, 0.02) == "no_match"
    assert claim(0.9).probability(found) is None


def scores(gallery: Gallery, product: str, photographs: list[NDArray]) -> list[float]:
    found = [
        claimed(
            gallery,
            product,
            references_of(gallery, product),
            (seen / np.linalg.norm(seen, axis=1)[:, None]).astype(np.float32),
            scenes_of(len(seen)),
        )
        for seen in photographs
    ]
    return [each.score for each in found if each is not None]


def judged(calibration: Calibration, gallery: Gallery, product: str, rate: float) -> Limits:
    found = limits(calibration, product, references_of(gallery, product), rate)
    assert found is not None
    return found
