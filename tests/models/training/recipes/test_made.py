"""Views of made products, of which a projection learns what to overlook."""

import numpy as np
import pytest

from models.training.recipes import made


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
    """Sees the red part of a picture, if there is one."""

    def best_body(self, picture):
        rows, columns = np.nonzero(picture[..., 0] > 200)
        if not len(rows):
            return None
        return picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def test_what_shows_no_body_is_kept_whole():
    picture = np.zeros((60, 40, 3), np.uint8)
    picture[10:30, 5:25] = (255, 0, 0)
    body, whole = made.best_bodies(RedDetector(), [picture, picture[40:]])
    assert body.shape == (20, 20, 3)
    assert (body == (255, 0, 0)).all()
    np.testing.assert_array_equal(whole, picture[40:])
