"""Views of made products, of which a projection learns what to overlook."""

import numpy as np
import pytest

from models.detector import Box, Detection
from models.training.recipes import made
from models.worker import StageTimes


@pytest.fixture
def views(tmp_path, monkeypatch):
    monkeypatch.setattr(made, "FAMILIES", 2)
    return made.made_products(tmp_path, 64)


def test_every_product_has_its_views_in_colour(views):
    assert len(views) > 2
    for pictures in views.values():
        assert len(pictures) == made.VIEWS
        assert all(p.shape == (64, 64, 3) and p.dtype == np.uint8 for p in pictures)


def test_views_of_a_product_differ_and_come_out_the_same_again(views, tmp_path):
    again = made.made_products(tmp_path, 64)
    assert again.keys() == views.keys()
    for name, pictures in views.items():
        np.testing.assert_array_equal(np.stack(again[name]), np.stack(pictures))
        assert not np.array_equal(pictures[0], pictures[1])


class RedDetector:
    """Sees the red part of a picture, if there is one, and in its corner something worse."""

    def detect(self, picture, *, max_results):
        rows, columns = np.nonzero(picture[..., 0] > 200)
        if not len(rows):
            return [], StageTimes(0, 0, 0)
        box = Box(columns.min() + 0.4, rows.min() + 0.4, columns.max() + 0.6, rows.max() + 0.6)
        found = [Detection(box, 0.9), Detection(Box(0, 0, 2, 2), 0.5)]
        return found[:max_results], StageTimes(0, 0, 0)


def test_bodies_are_cut_out_where_the_detector_sees_one():
    picture = np.zeros((60, 40, 3), np.uint8)
    picture[10:30, 5:25] = (255, 0, 0)
    body, whole = made.best_bodies(RedDetector(), [picture, picture[40:]])
    assert body.shape == (20, 20, 3)
    assert (body == (255, 0, 0)).all()
    assert whole.shape == (20, 40, 3)
