"""Details of a print, found again in photographs of it and not in others."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.local_features import DESCRIPTOR, NONE, extract, inliers

SIDES = {"side": 320, "most": 300}
SAMPLES = Path(__file__).parents[2] / "app" / "samples"


def label(seed: int) -> np.ndarray:
    """A grey label [400, 300]: patches and words of its own on the same ground."""
    rng = np.random.default_rng(seed)
    grey = np.full((400, 300), 225, np.uint8)
    for _ in range(14):
        place, size = rng.integers(20, (280, 380)), rng.integers(10, 50, 2)
        turn, shade = int(rng.integers(180)), int(rng.integers(60, 225))
        cv2.ellipse(grey, place.tolist(), size.tolist(), turn, 0, 360, shade, -1)
    for line in range(5):
        letters = "".join(chr(65 + int(code)) for code in rng.integers(0, 26, 5))
        cv2.putText(grey, letters, (20, 70 + 75 * line), cv2.FONT_HERSHEY_DUPLEX, 2, 20, 5)
    return grey


def photographed(grey: np.ndarray, degrees: float, scale: float, light: float) -> np.ndarray:
    """Turned, smaller or larger, in other light, with a camera's noise."""
    height, width = grey.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    seen = cv2.warpAffine(grey, turn, (width, height), borderValue=90).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 4, seen.shape)
    return np.clip(seen * light + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("degrees", "scale", "light"), [(0, 1, 1), (20, 0.8, 0.6), (-90, 0.7, 1.1), (180, 1.2, 0.8)]
)
def test_a_print_is_found_again_however_it_is_photographed(degrees, scale, light):
    reference = extract(label(1), **SIDES)
    seen = extract(photographed(label(1), degrees, scale, light), side=192, most=200)
    assert inliers(seen, reference) >= 20


def test_a_print_is_told_from_others_of_its_kind():
    references = [extract(label(seed), **SIDES) for seed in range(8)]
    for seed in range(8):
        seen = extract(photographed(label(seed), 15, 0.8, 0.7), side=192, most=200)
        found = [inliers(seen, reference) for reference in references]
        own = found.pop(seed)
        assert own > 2 * max(found)


def test_what_is_matched_must_lie_as_it_lay():
    """What is printed, cut into stripes in another order: one stripe at most fits a map."""
    grey = label(3)
    lines = np.split(grey, 8)
    shuffled = np.concatenate([lines[place] for place in (3, 6, 1, 4, 7, 0, 2, 5)])
    reference = extract(grey, **SIDES)
    whole = inliers(extract(grey, **SIDES), reference)
    assert 4 <= inliers(extract(shuffled, **SIDES), reference) < whole / 3


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (3, 500), (300, 400)])
def test_where_nothing_is_printed_there_is_nothing(shape):
    plain = extract(np.full(shape, 128, np.uint8), **SIDES)
    assert plain.places.shape == (0, 2)
    assert plain.descriptors.shape == (0, DESCRIPTOR)
    reference = extract(label(1), **SIDES)
    assert inliers(plain, reference) == inliers(reference, plain) == inliers(NONE, NONE) == 0


def test_there_are_no_more_than_asked_for():
    found = extract(label(1), side=320, most=40)
    assert 0 < len(found.places) <= 40
    assert len(found.descriptors) == len(found.places)
    assert found.places.max() <= 320


def test_the_same_image_gives_the_same():
    again = [extract(label(5), **SIDES) for _ in range(2)]
    assert np.array_equal(again[0].descriptors, again[1].descriptors)
    asked = extract(photographed(label(5), 10, 0.9, 0.9), side=192, most=200)
    assert inliers(asked, again[0]) == inliers(asked, again[1])


def test_a_sample_product_is_found_again_by_its_print():
    """Real pictures: two references of each, other places and light."""
    folders = sorted((SAMPLES / "references").iterdir())
    pairs = [[read(file) for file in sorted(folder.iterdir())[:2]] for folder in folders]
    references = [extract(first, **SIDES) for first, _ in pairs]
    asked = [extract(second, side=192, most=200) for _, second in pairs]
    table = np.array([[inliers(body, other) for other in references] for body in asked])
    own, others = table.diagonal(), table[~np.eye(len(table), dtype=bool)]
    assert others.max() < 7
    assert np.mean(own >= 7) > 0.6


def read(file: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))
