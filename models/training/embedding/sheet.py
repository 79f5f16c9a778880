"""A picture of the worst confusions: query, wrong best, right best, and their scores."""

from collections.abc import Sequence

import cv2
import numpy as np

from models.training.embedding.augmentation import on_white
from models.training.embedding.pictures import Image, Picture
from models.training.embedding.retrieval import Answer

CELL = 176  # px
MARGIN = 8
TEXT_HEIGHT = 34
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.38
_BLACK, _RED, _GREEN = (0, 0, 0), (190, 30, 30), (20, 120, 40)


def worst(answers: Sequence[Answer], count: int) -> list[Answer]:
    """Answers whose best is wrong, those first where it beats the right one by most."""
    wrong = [answer for answer in answers if answer.place > 0]
    return sorted(wrong, key=lambda answer: answer.right_score - answer.wrong_score)[:count]


def contact_sheet(
    answers: Sequence[Answer], queries: Sequence[Picture], gallery: Sequence[Picture]
) -> Image:
    """A row for each answer: the query, the wrong image that came first, the best right one.

    Raises:
        ValueError: there is no answer to show, or one that nothing wrong came before.
        ModelError: a picture cannot be read.
    """
    if not answers:
        raise ValueError("there is nothing to show")
    return np.concatenate([_row(answer, queries, gallery) for answer in answers])


def _row(answer: Answer, queries: Sequence[Picture], gallery: Sequence[Picture]) -> Image:
    if answer.wrong is None:
        raise ValueError("nothing wrong came before this answer")
    query = queries[answer.query]
    cells = [
        _cell(query, "asked", _BLACK),
        _cell(gallery[answer.wrong], f"{answer.wrong_score:.3f} found", _RED),
        _cell(
            gallery[answer.right], f"{answer.right_score:.3f} at place {answer.place + 1}", _GREEN
        ),
    ]
    return np.concatenate(cells, axis=1)


def _cell(picture: Picture, text: str, colour: tuple[int, int, int]) -> Image:
    image = on_white(picture.load())
    scale = CELL / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    cell = np.full((CELL + TEXT_HEIGHT + 2 * MARGIN, CELL + 2 * MARGIN, 3), 255, np.uint8)
    top, left = MARGIN + (CELL - height) // 2, MARGIN + (CELL - width) // 2
    cell[top : top + height, left : left + width] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA
    )
    for line, words in enumerate((picture.product, text)):
        place = (MARGIN, MARGIN + CELL + 14 + 16 * line)
        shown = words if len(words) <= 26 else f"{words[:25]}."
        cv2.putText(cell, shown, place, _FONT, _FONT_SCALE, colour, 1, cv2.LINE_AA)
    return cell
