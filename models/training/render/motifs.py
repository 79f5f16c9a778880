"""Pictures on label art: fruit, leaves, grain, drops, drawn as shaded shapes on a clear square."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
_LEAF: Colour = (70, 135, 50)
# Drawn this many times larger, then reduced: Pillow's shapes have no soft edges of their own.
_OVER = 2


def blend(a: Colour, b: Colour, share: float) -> Colour:
    """The colour that lies share of the way from a to b."""
    mixed = [round(x + (y - x) * share) for x, y in zip(a, b, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def _shaded(mask: Image.Image, colour: Colour, centre: tuple[float, float]) -> Image.Image:
    """The mask filled with colour, lit from the upper left as a round body is."""
    size = mask.size[0]
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    distance = np.hypot(x - centre[0] + 0.10, y - centre[1] + 0.12)
    light = np.clip(1.32 - 1.7 * distance, 0.42, 1.3)[..., None]
    gleam = np.exp(-((distance / 0.06) ** 2))[..., None] * 90
    body: NDArray[np.float32] = np.clip(np.array(colour) * light + gleam, 0, 255)
    picture = Image.fromarray(body.astype(np.uint8)).convert("RGBA")
    picture.putalpha(mask)
    return picture


def _moved(picture: Image.Image, right: int, down: int) -> Image.Image:
    moved = Image.new("RGBA", picture.size)
    moved.paste(picture, (right, down))
    return moved


def _ball(
    canvas: Image.Image, x: float, y: float, radius: float, colour: Colour, squash: float = 1.0
) -> None:
    size = canvas.size[0]
    mask = Image.new("L", canvas.size)
    box = [(x - radius) * size, (y - radius * squash) * size]
    box += [(x + radius) * size, (y + radius * squash) * size]
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    canvas.alpha_composite(_shaded(mask, colour, (x, y)))


def _leaf(
    canvas: Image.Image, x: float, y: float, length: float, angle: float, colour: Colour
) -> None:
    size = canvas.size[0]
    t = np.linspace(0, 1, 24)
    half = np.sin(np.pi * t**0.8) * length * 0.24
    along = t * length
    outline = np.concatenate([np.stack([along, half], 1), np.stack([along, -half], 1)[::-1]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = (outline @ turn + [x, y]) * size
    mask = Image.new("L", canvas.size)
    ImageDraw.Draw(mask).polygon([tuple(p) for p in points.tolist()], fill=255)
    middle = np.array([length / 2, 0]) @ turn + [x, y]
    canvas.alpha_composite(_shaded(mask, colour, (float(middle[0]), float(middle[1]))))
    tip = np.array([length * 0.9, 0]) @ turn + [x, y]
    ImageDraw.Draw(canvas).line(
        [(x * size, y * size), (tip[0] * size, tip[1] * size)],
        fill=(*blend(colour, (255, 255, 255), 0.35), 255),
        width=max(size // 140, 1),
    )


def _citrus(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    size = canvas.size[0]
    _leaf(canvas, 0.55, 0.3, 0.36, -0.9 + rng.uniform(-0.2, 0.2), _LEAF)
    _ball(canvas, 0.62, 0.46, 0.28, colour)
    draw = ImageDraw.Draw(canvas)
    x, y, radius = 0.37, 0.60, 0.30
    rings = ((1.0, blend(colour, (0, 0, 0), 0.1)), (0.94, (255, 248, 225)), (0.86, colour))
    for share, fill in rings:
        box = [(x - radius * share) * size, (y - radius * share) * size]
        box += [(x + radius * share) * size, (y + radius * share) * size]
        draw.ellipse(box, fill=(*fill, 255))
    for spoke in np.arange(10) * np.pi / 5 + rng.uniform(0, 0.6):
        end = (x + np.cos(spoke) * radius * 0.86, y + np.sin(spoke) * radius * 0.86)
        draw.line(
            [(x * size, y * size), (end[0] * size, end[1] * size)],
            fill=(255, 244, 214, 255),
            width=max(size // 60, 1),
        )


def _apple(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    size = canvas.size[0]
    _ball(canvas, 0.42, 0.58, 0.30, colour, 1.05)
    _ball(canvas, 0.58, 0.58, 0.30, blend(colour, (255, 230, 120), 0.12), 1.05)
    stalk = [(0.5 * size, 0.36 * size), (0.54 * size, 0.16 * size)]
    ImageDraw.Draw(canvas).line(stalk, fill=(92, 62, 30, 255), width=size // 40)
    _leaf(canvas, 0.53, 0.27, 0.3, -0.4 + rng.uniform(-0.3, 0.2), _LEAF)


def _cherry(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    size = canvas.size[0]
    draw = ImageDraw.Draw(canvas)
    for x, y in ((0.32, 0.66), (0.68, 0.72)):
        draw.line(
            [(x * size, (y - 0.1) * size), (0.55 * size, 0.12 * size)],
            fill=(84, 120, 44, 255),
            width=size // 45,
        )
    _leaf(canvas, 0.55, 0.13, 0.38, 0.35 + rng.uniform(-0.2, 0.2), _LEAF)
    _ball(canvas, 0.32, 0.68, 0.2, colour)
    _ball(canvas, 0.68, 0.74, 0.2, colour)


def _strawberry(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    size = canvas.size[0]
    t = np.linspace(0, 2 * np.pi, 60)
    x = 0.5 + 0.3 * np.sin(t) * (1 - 0.28 * (1 - np.cos(t)) / 2) ** 1.6
    y = 0.56 - 0.34 * np.cos(t)
    mask = Image.new("L", canvas.size)
    outline = [tuple(p) for p in (np.stack([x, y], 1) * size).tolist()]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    canvas.alpha_composite(_shaded(mask, colour, (0.5, 0.5)))
    draw = ImageDraw.Draw(canvas)
    for row in range(6):
        for column in range(-2, 3):
            sx = 0.5 + (column + 0.5 * (row % 2)) * 0.11
            sy = 0.34 + row * 0.085
            if mask.getpixel((int(sx * size), int(min(sy + 0.04, 0.99) * size))):
                box = [sx * size, sy * size, (sx + 0.018) * size, (sy + 0.03) * size]
                draw.ellipse(box, fill=(250, 222, 120, 255))
    for angle in np.linspace(0.25, np.pi - 0.25, 5) + rng.uniform(-0.1, 0.1):
        _leaf(canvas, 0.5, 0.24, 0.2, float(-angle + 0.05), (82, 150, 52))
        _leaf(canvas, 0.5, 0.24, 0.2, float(angle), (66, 132, 44))


def _berries(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    _leaf(canvas, 0.5, 0.4, 0.44, -2.3, _LEAF)
    _leaf(canvas, 0.5, 0.4, 0.44, -0.8, _LEAF)
    places = [(0.36, 0.46), (0.62, 0.44), (0.5, 0.62), (0.28, 0.68), (0.72, 0.66), (0.5, 0.82)]
    for x, y in places:
        shift = rng.uniform(-0.02, 0.02, 2)
        _ball(
            canvas, x + shift[0], y + shift[1], 0.15, blend(colour, (0, 0, 0), rng.random() * 0.2)
        )


def _leaves(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    for angle, length in ((-2.6, 0.36), (-0.5, 0.36), (-2.1, 0.44), (-1.0, 0.44), (-1.57, 0.5)):
        turn = angle + rng.uniform(-0.12, 0.12)
        _leaf(
            canvas, 0.5, 0.86, length * 1.5, turn, blend(colour, (255, 255, 200), rng.random() / 5)
        )


def _wheat(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    size = canvas.size[0]
    draw = ImageDraw.Draw(canvas)
    for x0, lean in ((0.5, 0.0), (0.34, -0.2), (0.66, 0.2)):
        top = (x0 + lean, 0.14)
        draw.line(
            [(x0 * size, 0.95 * size), (top[0] * size, top[1] * size)],
            fill=(*blend(colour, (80, 60, 20), 0.3), 255),
            width=size // 60,
        )
        for step in range(6):
            t = 0.08 + step * 0.1
            x, y = x0 + lean * (1 - t), 0.14 + 0.81 * t
            shade = blend(colour, (255, 240, 200), rng.random() * 0.25)
            _leaf(canvas, x, y, 0.15, -1.0, shade)
            _leaf(canvas, x, y, 0.15, -2.14, shade)


def _drop(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    size = canvas.size[0]
    for x, y, scale in ((0.5, 0.55, 1.0), (0.24, 0.74, 0.42), (0.78, 0.72, 0.5)):
        t = np.linspace(0, 2 * np.pi, 60)
        px = x + scale * 0.27 * np.sin(t) * np.sin(t / 2) ** (1.3 + 0.2 * rng.random())
        py = y - scale * 0.38 * np.cos(t)
        mask = Image.new("L", canvas.size)
        outline = [tuple(p) for p in (np.stack([px, py], 1) * size).tolist()]
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        canvas.alpha_composite(_shaded(mask, colour, (x, y)))


def _beans(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    size = canvas.size[0]
    for x, y in ((0.3, 0.34), (0.66, 0.27), (0.48, 0.52), (0.25, 0.68), (0.73, 0.62), (0.52, 0.8)):
        bean = Image.new("RGBA", canvas.size)
        shade = blend(colour, (255, 220, 170), rng.random() * 0.18)
        _ball(bean, 0.5, 0.5, 0.17, shade, 0.68)
        ImageDraw.Draw(bean).arc(
            [0.33 * size, 0.40 * size, 0.67 * size, 0.53 * size],
            20,
            160,
            fill=(*blend(shade, (0, 0, 0), 0.5), 255),
            width=size // 50,
        )
        turned = bean.rotate(float(rng.uniform(0, 180)), Image.Resampling.BICUBIC)
        canvas.alpha_composite(_moved(turned, int((x - 0.5) * size), int((y - 0.5) * size)))


def _flower(canvas: Image.Image, colour: Colour, rng: np.random.Generator) -> None:
    for angle in np.arange(6) * np.pi / 3 + rng.uniform(0, 1):
        _leaf(canvas, 0.5, 0.5, 0.44, float(angle), blend(colour, (255, 255, 255), 0.3))
    _ball(canvas, 0.5, 0.5, 0.1, (236, 176, 40))


_DRAWERS: dict[str, Callable[[Image.Image, Colour, np.random.Generator], None]] = {
    "citrus": _citrus,
    "apple": _apple,
    "cherry": _cherry,
    "strawberry": _strawberry,
    "berries": _berries,
    "leaves": _leaves,
    "wheat": _wheat,
    "drop": _drop,
    "beans": _beans,
    "flower": _flower,
}
MOTIFS = tuple(_DRAWERS)


def motif(name: str, colour: Colour, size: int, seed: int, *, shadow: bool = True) -> Image.Image:
    """The motif as RGBA, size x size pixels; with a soft shadow under it unless told not to."""
    canvas = Image.new("RGBA", (size * _OVER, size * _OVER))
    _DRAWERS[name](canvas, colour, np.random.default_rng(seed))
    small = canvas.resize((size, size), Image.Resampling.BOX)
    if not shadow:
        return small
    dark = Image.new("RGBA", small.size, (20, 14, 8, 255))
    dark.putalpha(small.getchannel("A").point(lambda a: a * 0.4))
    dark = _moved(dark, size // 50, size // 30).filter(ImageFilter.GaussianBlur(size / 50))
    dark.alpha_composite(small)
    return dark
