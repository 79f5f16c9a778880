"""Label art follows from its design alone; a family's members differ in one detail."""

from dataclasses import fields, replace

import numpy as np
import pytest

from models.training.render import labels
from models.training.render.layouts import LAYOUTS
from models.training.render.motifs import MOTIFS, motif
from models.training.render.products import Detail, ProductSpec
from models.training.render.typefaces import Typeface, fitted
from models.training.render.wording import CATEGORIES, FACTS, FLAVOURS, LANGUAGES

SIZE = (160, 240)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_same_design_same_pixels(layout: str) -> None:
    design = replace(ProductSpec.from_seed(3, "box").design, layout=layout)
    for draw in (labels.front, labels.back, labels.side, labels.top):
        first, second = draw(design, *SIZE), draw(design, *SIZE)
        assert first.size == SIZE
        assert first.tobytes() == second.tobytes()
        assert np.array(first).std() > 10


def test_layouts_look_different() -> None:
    design = ProductSpec.from_seed(3, "box").design
    pictures = {labels.front(replace(design, layout=layout), *SIZE).tobytes() for layout in LAYOUTS}
    assert len(pictures) == len(LAYOUTS)


@pytest.mark.parametrize(
    ("detail", "changed"),
    [
        ("flavour", {"flavour"}),
        ("colour", {"accent"}),
        ("size", {"size"}),
        ("language", {"language"}),
    ],
)
def test_family_members_differ_in_the_detail_alone(detail: Detail, changed: set[str]) -> None:
    family = ProductSpec.from_seed(8, "brick").family(detail, 3)
    assert len(family) == 3
    assert len({member.id for member in family}) == 3
    first = family[0]
    for member in family[1:]:
        differing = {
            field.name
            for field in fields(first.design)
            if getattr(first.design, field.name) != getattr(member.design, field.name)
        }
        assert differing == changed
        assert (member.kind, member.shape_seed) == (first.kind, first.shape_seed)
        assert (member.scale == first.scale) == (detail != "size")
        a = np.array(labels.front(first.design, *SIZE)).astype(int)
        b = np.array(labels.front(member.design, *SIZE)).astype(int)
        share = (np.abs(a - b).max(axis=2) > 24).mean()
        assert 0.0004 < share < 0.8


def test_a_printed_size_changes_a_small_part_of_the_front() -> None:
    first, second = ProductSpec.from_seed(8, "brick").family("size", 2)
    a = np.array(labels.front(first.design, *SIZE))
    b = np.array(labels.front(second.design, *SIZE))
    rows, columns = np.nonzero((a != b).any(axis=2))
    assert np.ptp(rows) < SIZE[1] * 0.1
    assert np.ptp(columns) < SIZE[0] * 0.6


def test_the_wrap_meets_itself_at_the_seam() -> None:
    design = ProductSpec.from_seed(4, "can").design
    for fronts in (1, 2):
        around = np.array(labels.wrap(design, 600, 200, fronts=fronts)).astype(int)
        seam = np.abs(around[:, 0] - around[:, -1]).mean()
        steps = np.abs(np.diff(around, axis=1)).mean(axis=(0, 2))
        assert seam <= max(float(np.percentile(steps, 99)), 8)


@pytest.mark.parametrize("name", MOTIFS)
def test_motifs_fill_their_square_and_stay_in_it(name: str) -> None:
    alpha = np.array(motif(name, (200, 60, 40), 80, 1, shadow=False).getchannel("A"))
    assert 0.08 < (alpha > 128).mean() < 0.9
    assert alpha[0].max() == 0
    assert alpha[-1].max() == 0


def test_every_word_exists_in_every_language() -> None:
    assert set(FACTS) == set(LANGUAGES)
    for _, _, names in FLAVOURS.values():
        assert len(names) == len(LANGUAGES)
    for category in CATEGORIES.values():
        assert len(category.names) == len(LANGUAGES)
        assert set(category.flavours) <= set(FLAVOURS)


def test_accents_are_drawn_by_a_face_that_has_them() -> None:
    missing = fitted("\ufffe", Typeface("serif"), 300, 60)
    for text in ("Müsli", "Wiśnia", "Jabłko"):
        for face in ("sans", "round", "serif"):
            drawn = fitted(text, Typeface(face), 300, 60)
            assert drawn.size != missing.size
            assert drawn.width <= 300
            assert drawn.height <= 60
