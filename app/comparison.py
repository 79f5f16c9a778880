"""Draw side by side what was photographed and the references that it was taken for."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageOps

from app.draw import COLOURS, Label, draw_labels, typeface
from app.images import RGBImage
from app.recognizer import Outcome

_MARGIN = 24
_GAP = 16
_CELL = 220
_PHOTOGRAPH = 460
_TITLE, _TEXT = 22, 16
_PAPER, _INK, _PALE, _LINE = "#ffffff", "#1c1f24", "#5d6570", "#d8dce1"


@dataclass(frozen=True, slots=True)
class Shown:
    """A reference: its JPEG, and the lines below it."""

    thumbnail: bytes
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One result: its box (x1, y1, x2, y2 in pixels) and what is said of it.

    `references` are of the best product, best first, `runner_up` of the next one.
    """

    box: tuple[float, float, float, float]
    outcome: Outcome
    title: str
    lines: Sequence[str]
    references: Sequence[Shown]
    runner_up: Shown | None


def draw_comparison(photograph: RGBImage, rows: Sequence[Row], footer: str) -> Image.Image:
    """The photograph uint8 [H, W, 3] RGB with its boxes, numbered, and a row for each of them."""
    columns = max((len(row.references) for row in rows), default=1) + 2
    width = 2 * _MARGIN + columns * _CELL + (columns - 1) * _GAP + _GAP
    labels = [Label(row.box, row.outcome, str(n)) for n, row in enumerate(rows, start=1)]
    marked = draw_labels(photograph, labels)
    marked = ImageOps.contain(marked, (width - 2 * _MARGIN, _PHOTOGRAPH))
    heights = [_row_height(row) for row in rows]
    height = marked.height + sum(heights) + 3 * _MARGIN + _TEXT + _GAP * len(rows)
    sheet = Image.new("RGB", (width, height), _PAPER)
    canvas = ImageDraw.Draw(sheet)
    sheet.paste(marked, ((width - marked.width) // 2, _MARGIN))
    top = 2 * _MARGIN + marked.height
    for number, (row, tall) in enumerate(zip(rows, heights, strict=True), start=1):
        canvas.line((_MARGIN, top - _GAP // 2, width - _MARGIN, top - _GAP // 2), fill=_LINE)
        _draw_row(sheet, canvas, photograph, row, number, top)
        top += tall + _GAP
    _write(canvas, (_MARGIN, height - _MARGIN - _TEXT), footer, _TEXT, _PALE, width - 2 * _MARGIN)
    return sheet


def _row_height(row: Row) -> int:
    shown = [*row.references, *([row.runner_up] if row.runner_up else [])]
    # Under each picture, a heading first.
    lines = 1 + max(len(row.lines), *(len(item.lines) for item in shown), 0)
    return int(1.5 * _TITLE) + _CELL + int(lines * 1.4 * _TEXT) + _GAP


def _draw_row(
    sheet: Image.Image,
    canvas: ImageDraw.ImageDraw,
    photograph: RGBImage,
    row: Row,
    number: int,
    top: int,
) -> None:
    title = f"{number}  {row.title}"
    _write(canvas, (_MARGIN, top), title, _TITLE, COLOURS[row.outcome], sheet.width - 2 * _MARGIN)
    top += int(1.5 * _TITLE)
    left, upper, right, lower = (round(side) for side in row.box)
    crop = photograph[upper : max(lower, upper + 1), left : max(right, left + 1)]
    _cell(sheet, canvas, Image.fromarray(crop), ["photographed", *row.lines], _MARGIN, top)
    x = _MARGIN + _CELL + _GAP
    for place, item in enumerate(row.references):
        picture = Image.open(io.BytesIO(item.thumbnail))
        heading = "best reference" if place == 0 else "next reference"
        _cell(sheet, canvas, picture, [heading, *item.lines], x, top)
        x += _CELL + _GAP
    if row.runner_up:
        # Always the last column, apart from those of the best product.
        x = sheet.width - _MARGIN - _CELL
        bottom = top + _CELL
        canvas.line((x - _GAP, top, x - _GAP, bottom), fill=_LINE, width=2)
        picture = Image.open(io.BytesIO(row.runner_up.thumbnail))
        _cell(sheet, canvas, picture, ["next product", *row.runner_up.lines], x, top)


def _cell(
    sheet: Image.Image,
    canvas: ImageDraw.ImageDraw,
    picture: Image.Image,
    lines: Sequence[str],
    x: int,
    y: int,
) -> None:
    picture = ImageOps.contain(picture.convert("RGB"), (_CELL, _CELL))
    canvas.rectangle((x, y, x + _CELL - 1, y + _CELL - 1), outline=_LINE)
    sheet.paste(picture, (x + (_CELL - picture.width) // 2, y + (_CELL - picture.height) // 2))
    y += _CELL + _TEXT // 3
    for place, line in enumerate(lines):
        _write(canvas, (x, y), line, _TEXT, _PALE if place == 0 else _INK, _CELL)
        y += int(1.4 * _TEXT)


def _write(
    canvas: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill: str, room: int
) -> None:
    """One line, shortened to `room` pixels."""
    font = typeface(size)
    shown = text
    while canvas.textlength(shown, font=font) > room and len(text) > 1:
        text = text[:-1]
        shown = f"{text.rstrip()}…"
    canvas.text(at, shown, fill=fill, font=font)
