"""Draw what was recognised onto the photograph."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from font_source_sans_pro import font_files_ttf
from PIL import Image, ImageDraw, ImageFont

from app.images import RGBImage
from app.recognizer import Outcome

# A picture may be millions of pixels long: FreeType makes no letters in proportion, and a stroke
# is drawn line by line.
_LARGEST_TYPE = 400
_WIDEST_STROKE = 40
COLOURS: dict[Outcome, str] = {"match": "#18a558", "ambiguous": "#f0a500", "unknown": "#d33f49"}


@dataclass(frozen=True, slots=True)
class Label:
    """A box (x1, y1, x2, y2 in pixels) with its outcome and the line to write at it."""

    box: tuple[float, float, float, float]
    outcome: Outcome
    text: str


@lru_cache(maxsize=8)
def typeface(size: int) -> ImageFont.FreeTypeFont:
    """The one for names of products, `size` in pixels: Latin, Greek and Cyrillic letters."""
    return ImageFont.truetype(font_files_ttf["SourceSansPro"], size)


def draw_labels(image: RGBImage, labels: Sequence[Label]) -> Image.Image:
    """A copy of uint8 [H, W, 3] RGB with boxes and texts, sized to stay legible."""
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    side = max(picture.size)
    stroke = min(max(2, side // 300), _WIDEST_STROKE)
    font = typeface(min(max(12, side // 45), _LARGEST_TYPE))
    # The best results come first: draw them last, on top.
    for label in reversed(labels):
        colour = COLOURS[label.outcome]
        canvas.rectangle(label.box, outline=colour, width=stroke)
        _draw_text(canvas, label, colour, font, picture.size)
    return picture


def _draw_text(
    canvas: ImageDraw.ImageDraw,
    label: Label,
    colour: str,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    pad = 4
    left, top, right, bottom = canvas.textbbox((0, 0), label.text, font=font)
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    # Above the box where there is room, else inside it; never beyond the picture's edges.
    x = max(0.0, min(label.box[0], size[0] - width))
    y = label.box[1] - height if label.box[1] >= height else label.box[1]
    canvas.rectangle((x, y, x + width, y + height), fill=colour)
    canvas.text((x + pad - left, y + pad - top), label.text, fill="white", font=font)
