"""Lettering for label art: three open typefaces, slanted, stretched and outlined.

Fredoka One (SIL Open Font License 1.1) and Caladea (Apache-2.0) come as packages of the `render`
extra; Aileron (CC0) is built into Pillow.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_FACES = {
    "sans": ("", ""),
    "round": ("font_fredoka_one", "FredokaOne-Regular.ttf"),
    "serif": ("font_caladea", "Caladea-Bold.ttf"),
    "serif_italic": ("font_caladea", "Caladea-BoldItalic.ttf"),
}


@dataclass(frozen=True, slots=True)
class Typeface:
    """A face and how it is bent: weight and slant as shares of the size, stretch of the width."""

    face: str
    weight: float = 0.0
    slant: float = 0.0
    stretch: float = 1.0


def random_typeface(rng: np.random.Generator) -> Typeface:
    """A display face for brand or product names."""
    face = str(rng.choice(list(_FACES)))
    weight = float(rng.uniform(0.01, 0.03)) if face == "sans" else 0.0
    slant = float(rng.choice([0.0, 0.0, 0.2])) if face in ("sans", "round") else 0.0
    return Typeface(face, weight, slant, float(rng.uniform(0.78, 1.12)))


@lru_cache(maxsize=256)
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    package, name = _FACES[face]
    if not package:
        built_in = ImageFont.load_default(size)
        assert isinstance(built_in, ImageFont.FreeTypeFont)
        return built_in
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        message = f"The typeface package {package} is missing: .venv/bin/pip install -e '.[render]'"
        raise ModuleNotFoundError(message)
    return ImageFont.truetype(str(Path(spec.submodule_search_locations[0]) / "files" / name), size)


def _covers(face: str, text: str) -> bool:
    """Pillow's built-in face has no accented letters, Fredoka One only western ones."""
    if face == "sans":
        return text.isascii()
    return face != "round" or all(ord(letter) < 256 for letter in text)


def lettering(text: str, typeface: Typeface, size: int) -> Image.Image:
    """The text as a tight coverage mask (mode L), size pixels to the em before stretching."""
    font = _font(typeface.face if _covers(typeface.face, text) else "serif", size)
    stroke = round(typeface.weight * size)
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    width, height = int(right - left) + 4, int(bottom - top) + 4
    lean = int(abs(typeface.slant) * height)
    mask = Image.new("L", (width + lean, height))
    ImageDraw.Draw(mask).text((2 - left, 2 - top), text, font=font, fill=255, stroke_width=stroke)
    if lean:
        shear = (1, typeface.slant, -typeface.slant * height, 0, 1, 0)
        mask = mask.transform(mask.size, Image.Transform.AFFINE, shear, Image.Resampling.BICUBIC)
    stretched = max(int(mask.width * typeface.stretch), 1)
    return mask.resize((stretched, height), Image.Resampling.BICUBIC)


def fitted(text: str, typeface: Typeface, width: int, height: int) -> Image.Image:
    """The lettering as large as fits into width x height pixels."""
    mask = lettering(text, typeface, 100)
    scale = min(width / mask.width, height / mask.height)
    return lettering(text, typeface, max(int(100 * scale * 0.97), 6))
