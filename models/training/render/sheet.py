"""A sheet to draw label art on, in shares of its width and height."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from models.training.render.motifs import Colour
from models.training.render.typefaces import Typeface, fitted, lettering

# x1, y1, x2, y2 as shares of the sheet.
Box = tuple[float, float, float, float]


def luminance(colour: Colour) -> float:
    """0 for black to 1 for white, as the eye weighs the primaries."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def ink(ground: Colour, wanted: Colour) -> Colour:
    """The wanted colour if it can be read on the ground, else near-black or near-white."""
    if abs(luminance(ground) - luminance(wanted)) > 0.32:
        return wanted
    return (250, 248, 240) if luminance(ground) < 0.55 else (32, 28, 34)


@dataclass(slots=True)
class Sheet:
    """A picture that is drawn on in shares of its width and height."""

    image: Image.Image

    def fill(self, box: Box, colour: Colour) -> None:
        """A rectangle of the colour."""
        ImageDraw.Draw(self.image).rectangle(self._pixels(box), fill=colour)

    def ellipse(self, box: Box, colour: Colour, rim: Colour | None = None) -> None:
        """An ellipse inside the box, with a rim of another colour if given."""
        layer = Image.new("L", (self.image.width * 2, self.image.height * 2))
        pixels = [2 * p for p in self._pixels(box)]
        for fill, inset in ((rim, 0), (colour, self.image.width // 28)):
            if fill is not None:
                layer.paste(0, (0, 0, *layer.size))
                x1, y1, x2, y2 = pixels
                shrink = inset if rim is not None else 0
                area = [x1 + shrink, y1 + shrink, x2 - shrink, y2 - shrink]
                ImageDraw.Draw(layer).ellipse(area, fill=255)
                mask = layer.resize(self.image.size, Image.Resampling.BOX)
                self.image.paste(fill, (0, 0, *self.image.size), mask)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A filled polygon."""
        width, height = self.image.size
        layer = Image.new("L", (width * 2, height * 2))
        scaled = [(x * width * 2, y * height * 2) for x, y in points]
        ImageDraw.Draw(layer).polygon(scaled, fill=255)
        mask = layer.resize(self.image.size, Image.Resampling.BOX)
        self.image.paste(colour, (0, 0, width, height), mask)

    def text(
        self,
        text: str,
        face: Typeface,
        box: Box,
        colour: Colour,
        outline: Colour | None = None,
    ) -> None:
        """The text as large as fits into the box, in its middle."""
        x1, y1, x2, y2 = self._pixels(box)
        mask = fitted(text, face, max(x2 - x1, 8), max(y2 - y1, 8))
        x, y = (x1 + x2 - mask.width) // 2, (y1 + y2 - mask.height) // 2
        if outline is not None:
            step = max(mask.height // 22, 1)
            for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (1, 1), (-1, 1), (1, 2), (2, 2)):
                self.image.paste(outline, (x + dx * step, y + dy * step), mask)
        self.image.paste(colour, (x, y), mask)

    def line(self, text: str, face: Typeface, x: float, y: float, size: int) -> None:
        """Dark text of the given size in pixels, its upper left corner at the shares x, y."""
        mask = lettering(text, face, size)
        corner = (int(x * self.image.width), int(y * self.image.height))
        self.image.paste((34, 30, 34), corner, mask)

    def picture(self, picture: Image.Image, x: float, y: float) -> None:
        """Pastes the RGBA picture with its centre at the shares x, y."""
        corner = (
            int(x * self.image.width - picture.width / 2),
            int(y * self.image.height - picture.height / 2),
        )
        self.image.paste(picture, corner, picture)

    def _pixels(self, box: Box) -> tuple[int, int, int, int]:
        width, height = self.image.size
        return (
            int(box[0] * width),
            int(box[1] * height),
            int(box[2] * width),
            int(box[3] * height),
        )


def gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    """A picture of (width, height) pixels that runs from one colour to another."""
    share = np.linspace(0, 1, size[1])[:, None, None]
    rows = np.array(top) * (1 - share) + np.array(bottom) * share
    return Image.fromarray(np.repeat(rows, size[0], axis=1).round().astype(np.uint8))
