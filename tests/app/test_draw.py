"""What is drawn onto photographs: seen by eye when it was made, and here by what it must not be."""

import numpy as np
import pytest

from app.draw import Label, draw_labels, typeface


def test_letters_of_european_names_are_drawn() -> None:
    font = typeface(20)
    nothing = bytes(font.getmask("\uffff"))
    assert not [letter for letter in "äéßłőğčñøĐЖїґΩώ€–…" if bytes(font.getmask(letter)) == nothing]


@pytest.mark.parametrize("size", [(16, 3_000_000), (3_000_000, 16)])
def test_a_very_long_picture_gets_its_labels(size: tuple[int, int]) -> None:
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    drawn = draw_labels(image, [Label((0, 0, width, height), "match", "Käse 0.93")])
    assert drawn.size == size
    assert np.asarray(drawn).any()
