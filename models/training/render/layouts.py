"""Layouts of a main panel: what lies behind, and where brand, name and picture go."""

from collections.abc import Callable
from dataclasses import dataclass

from models.training.render.design import Design
from models.training.render.motifs import Colour, blend, motif
from models.training.render.sheet import Box, Sheet, gradient
from models.training.render.wording import FLAVOURS

_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Slots:
    """Where a layout puts things, and the colour behind each text. Shares of the panel.

    motif_size is a share of the panel's shorter side; badge says whether a claim has room.
    """

    brand: Box
    name: Box
    flavour: Box
    size: Box
    brand_ground: Colour
    name_ground: Colour
    flavour_ground: Colour
    size_ground: Colour
    motif_at: tuple[float, float] = (0.5, 0.6)
    motif_size: float = 0.56
    badge: bool = False


_BRAND: Box = (0.08, 0.07, 0.92, 0.24)
_NAME: Box = (0.1, 0.29, 0.9, 0.38)
_FLAVOUR: Box = (0.12, 0.81, 0.88, 0.88)
_SIZE: Box = (0.62, 0.91, 0.92, 0.95)


def _band(sheet: Sheet, design: Design, _: Colour) -> Slots:
    ground, accent = design.ground, design.accent
    sheet.fill((0, 0.05, 1, 0.26), accent)
    sheet.fill((0, 0.268, 1, 0.278), accent)
    return Slots(_BRAND, _NAME, _FLAVOUR, _SIZE, accent, ground, ground, ground, badge=True)


def _oval(sheet: Sheet, design: Design, fruit: Colour) -> Slots:
    accent, pale = design.accent, blend(fruit, _WHITE, 0.45)
    sheet.ellipse((-0.25, 0.5, 1.25, 1.4), pale)
    sheet.ellipse((0.05, 0.05, 0.95, 0.4), accent, blend(accent, _WHITE, 0.75))
    brand, name = (0.16, 0.12, 0.84, 0.25), (0.24, 0.26, 0.76, 0.34)
    return Slots(brand, name, _FLAVOUR, _SIZE, accent, accent, pale, pale, badge=True)


def _minimal(sheet: Sheet, design: Design, _: Colour) -> Slots:
    ground = design.ground
    sheet.fill((0, 0, 1, 0.018), design.accent)
    sheet.fill((0, 0.95, 1, 1), design.accent)
    brand, name, size = (0.08, 0.06, 0.72, 0.15), (0.08, 0.17, 0.92, 0.28), (0.62, 0.9, 0.92, 0.935)
    at = (0.5, 0.55)
    return Slots(brand, name, _FLAVOUR, size, ground, ground, ground, ground, at, 0.7)


def _diagonal(sheet: Sheet, design: Design, _: Colour) -> Slots:
    ground, accent = design.ground, design.accent
    sheet.polygon([(0, 0.62), (1, 0.38), (1, 1), (0, 1)], accent)
    sheet.polygon([(0, 0.62), (1, 0.38), (1, 0.41), (0, 0.65)], (250, 248, 240))
    return Slots(_BRAND, _NAME, _FLAVOUR, _SIZE, ground, ground, accent, accent, badge=True)


def _pattern(sheet: Sheet, design: Design, fruit: Colour) -> Slots:
    width, height = sheet.image.size
    reach, panel = min(width, height), (252, 250, 244)
    name = FLAVOURS[design.flavour][0]
    tile = motif(name, fruit, max(reach // 4, 12), design.seed, shadow=False)
    tile.putalpha(tile.getchannel("A").point(lambda a: a * 0.55))
    for row in range(-1, int(height / reach * 5) + 1):
        for column in range(5):
            sheet.picture(
                tile, (column + 0.5 * (row % 2)) * 0.25, (row + 0.5) * 0.22 * reach / height
            )
    sheet.fill((0.1, 0.16, 0.9, 0.88), blend(design.accent, panel, 0.1))
    sheet.fill((0.12, 0.175, 0.88, 0.865), panel)
    brand, words, flavour = (0.17, 0.2, 0.83, 0.32), (0.2, 0.34, 0.8, 0.42), (0.2, 0.75, 0.8, 0.81)
    size, at, share = (0.55, 0.825, 0.82, 0.855), (0.5, 0.59), 0.5 if height > 1.6 * width else 0.36
    return Slots(brand, words, flavour, size, panel, panel, panel, panel, at, share)


def _stripes(sheet: Sheet, design: Design, fruit: Colour) -> Slots:
    panel, dark = blend(design.ground, _WHITE, 0.85), blend(design.accent, (0, 0, 0), 0.35)
    for stripe in range(0, 9, 2):
        sheet.fill((stripe / 9, 0, (stripe + 1) / 9, 1), design.accent)
    sheet.ellipse((0.04, 0.3, 0.96, 0.92), panel, fruit)
    sheet.fill((0, 0.06, 1, 0.26), dark)
    name, flavour, size = (
        (0.22, 0.36, 0.78, 0.45),
        (0.25, 0.74, 0.75, 0.8),
        (0.35, 0.83, 0.65, 0.865),
    )
    return Slots(_BRAND, name, flavour, size, dark, panel, panel, panel, (0.5, 0.6), 0.42)


def _frame(sheet: Sheet, design: Design, fruit: Colour) -> Slots:
    ground, accent = design.ground, design.accent
    width, height = sheet.image.size
    reach = min(width, height)
    for inset, colour in ((0.03, accent), (0.045, ground), (0.055, accent)):
        x, y = inset * reach / width, inset * reach / height
        sheet.fill((x, y, 1 - x, 1 - y), colour)
    inner = int(0.062 * reach)
    low = blend(ground, fruit, 0.25)
    inside = gradient((width - 2 * inner, height - 2 * inner), blend(ground, _WHITE, 0.2), low)
    sheet.image.paste(inside, (inner, inner))
    x, y = 0.3 * reach / width, 0.3 * reach / height
    sheet.ellipse((0.5 - x, 0.59 - y, 0.5 + x, 0.59 + y), blend(ground, fruit, 0.5))
    at, size = (0.5, 0.59), (0.6, 0.9, 0.9, 0.935)
    return Slots(_BRAND, _NAME, _FLAVOUR, size, ground, ground, low, low, at, badge=True)


LAYOUTS: dict[str, Callable[[Sheet, Design, Colour], Slots]] = {
    "band": _band,
    "oval": _oval,
    "minimal": _minimal,
    "diagonal": _diagonal,
    "pattern": _pattern,
    "stripes": _stripes,
    "frame": _frame,
}
