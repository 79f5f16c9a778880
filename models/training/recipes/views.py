"""Views of a product as a till may photograph it: turned, warped, lit, covered, blurred.

Every function draws from the generator it is given and returns new pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.open_data import Corners
from models.training.recipes.grounds import window

Image = NDArray[np.uint8]  # RGB [H, W, 3]
Cutout = NDArray[np.uint8]  # RGBA [H, W, 4]
Matrix = NDArray[np.float32 | np.float64]

LUMINANCE = np.array([0.299, 0.587, 0.114])
# RGB to luminance and two chroma axes (YIQ), on which hues turn by an angle.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
BORDERS = (cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)
WINDOW = 0.3  # of a ground's shorter side, at least
LOOSE = (0.55, 1.05)  # a pasted body's longer side, in sides of the view
TILT = 12.0  # degrees: how far a product that stands leans
CLOSER = 1.2  # a picture is first reduced to this much more than the view needs
REDUCED = 1.6  # times too large: from here reducing first avoids aliasing


def hue_turn(angle: float) -> Matrix:
    """The matrix [3, 3] that turns every hue by an angle in radians, luminance kept."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray(np.linalg.inv(YIQ) @ turn @ YIQ, np.float32)


def recoloured(image: NDArray[np.uint8], matrix: Matrix) -> NDArray[np.uint8]:
    """RGB or RGBA with its colours through the matrix, opacity kept."""
    colours = cv2.transform(image[..., :3].astype(np.float32), matrix).clip(0, 255)
    return np.dstack([colours.astype(np.uint8), image[..., 3:]])


def photographed(
    image: Image, boxes: Sequence[Corners], side: int, rng: np.random.Generator
) -> Image:
    """A square view of a photograph: its first body, the whole of it, or a part."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = _region(width, height, boxes, rng)
    angle = _angle(rng)
    scale = max(x2 - x1, y2 - y1) / side
    if scale > REDUCED:
        image, factor = _reduced(image, scale)
        x1, y1, x2, y2 = (value * factor for value in (x1, y1, x2, y2))
    jitter = 0.06 if rng.random() < 0.5 else 0.13
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.5
    corners += rng.uniform(-jitter, jitter, (4, 2))
    turn = _rotation(angle)
    size = np.array([x2 - x1, y2 - y1])
    if abs(np.sin(np.deg2rad(angle))) > 0.2:
        size = np.abs(turn) @ size * 0.92  # of the turned body's own upright box
    source = (corners * size) @ turn.T + [(x1 + x2) / 2, (y1 + y2) / 2]
    target = np.array([[0, 0], [side, 0], [side, side], [0, side]])
    return np.asarray(
        cv2.warpPerspective(
            image,
            cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32)),
            (side, side),
            flags=cv2.INTER_LINEAR,
            borderMode=int(rng.choice(BORDERS)),
            borderValue=[int(value) for value in rng.integers(0, 255, 3)],
        ),
        np.uint8,
    )


def pasted(
    body: Cutout,
    ground: Image,
    side: int,
    rng: np.random.Generator,
    *,
    shares: tuple[float, float] = LOOSE,
    upright: bool = False,
) -> Image:
    """A square view of a cut-out body on a window of a ground, turned at times unless `upright`.

    The body's longer side is between `shares` of the view's. As often as not its proportions are
    lost, as in a detector's crop that is squeezed to a square.
    """
    behind = window(ground, WINDOW, side, rng)
    height, width = body.shape[:2]
    share = side * rng.uniform(*shares)
    turn = _rotation(rng.uniform(-TILT, TILT) if upright else _angle(rng))
    turned = np.abs(turn) @ [width, height]
    scale = share / (turned if rng.random() < 0.6 else np.full(2, turned.max()))
    if max(height, width) / share > REDUCED:
        body, factor = _reduced(body, max(height, width) / share)
        scale, width, height = scale / factor, body.shape[1], body.shape[0]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target = (source - [width / 2, height / 2]) @ turn.T * scale
    target += rng.uniform(-0.07, 0.07, (4, 2)) * share + side / 2
    slack = max(0.0, side - share) / 2
    target += rng.uniform(-slack, slack, 2)
    warp = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    placed = cv2.warpPerspective(body, warp, (side, side), flags=cv2.INTER_LINEAR)
    opacity = placed[..., 3:].astype(np.float32) / 255
    light = 1 - _shadow(opacity[..., 0], rng) if rng.random() < 0.5 else np.ones((side, side, 1))
    return (placed[..., :3] * opacity + behind * light * (1 - opacity)).astype(np.uint8)


def disturbed(
    view: Image, strangers: Sequence[Image], rng: np.random.Generator, hues: Matrix | None = None
) -> Image:
    """The view covered by a piece of a stranger, lit, blurred and compressed, each at times.

    `hues` makes another product of it (`hue_turn`); the other changes keep hues nearly as they are.
    """
    side = len(view)
    if rng.random() < 0.25:
        view = _covered(view, strangers, rng)
    light = exposed(view, rng, hues)
    if rng.random() < 0.2:
        light = light * _falloff(side, rng)
    if rng.random() < 0.12:
        light = light + _glare(side, rng)
    light = _blurred(light, rng)
    if rng.random() < 0.15:
        light = light + rng.normal(0, rng.uniform(2, 9), (side, side, 1))
    developed: Image = light.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        packed = np.asarray(cv2.imencode(".jpg", developed, quality)[1], np.uint8)
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return developed


def hindered(image: Image, rng: np.random.Generator) -> list[Image]:
    """The picture with a sixth to a third of it, about its middle, under a patch; out of focus."""
    size = np.array(image.shape[:2])
    down, across = extent = (size * rng.uniform(0.4, 0.6, 2)).astype(int)
    off_middle = rng.normal(0, 0.08, 2) * size
    top, left = ((size - extent) / 2 + off_middle).astype(int).clip(0)
    hidden = image.copy()
    hidden[top : top + down, left : left + across] = rng.integers(0, 255, 3)
    soft = cv2.GaussianBlur(image, (0, 0), float(size.min() * rng.uniform(0.006, 0.016)))
    return [hidden, np.asarray(soft, np.uint8)]


def exposed(view: Image, rng: np.random.Generator, hues: Matrix | None = None) -> Matrix:
    """The view in other light and another camera's colours, 0 to 255 and a little beyond."""
    colours = _camera_colours(rng) @ (np.eye(3) if hues is None else hues)
    seen = cv2.transform(view.astype(np.float32), colours.astype(np.float32))
    light: Matrix = (seen - 110) * np.exp(rng.uniform(-0.25, 0.2)) + 110 + rng.uniform(-12, 12)
    return light


def _region(width: int, height: int, boxes: Sequence[Corners], rng: np.random.Generator) -> Corners:
    kind = rng.random()
    if len(boxes) and kind < 0.5:
        x1, y1, x2, y2 = boxes[0]
        left, top, right, bottom = rng.uniform(-0.08, 0.15, 4)
        across, down = x2 - x1, y2 - y1
        return (x1 - left * across, y1 - top * down, x2 + right * across, y2 + bottom * down)
    if kind < 0.65:
        return (0, 0, width, height)
    share, ratio = np.sqrt(rng.uniform(0.35, 1)), np.exp(rng.uniform(-0.25, 0.25))
    across, down = min(width, width * share * ratio), min(height, height * share / ratio)
    left, top = rng.uniform(0, 1, 2) * [width - across, height - down]
    return (left, top, left + across, top + down)


def _angle(rng: np.random.Generator) -> float:
    lean = rng.uniform(-TILT, TILT)
    if rng.random() < 0.5:
        return float(lean)
    return float(lean + (rng.choice([90, 180, 270]) if rng.random() < 0.5 else rng.uniform(0, 360)))


def _rotation(degrees: float) -> NDArray[np.float64]:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def _reduced(image: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.uint8], float]:
    factor = CLOSER / scale
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), factor


def _shadow(opacity: Matrix, rng: np.random.Generator) -> NDArray[np.float32]:
    side = len(opacity)
    down, across = int(rng.integers(0, side // 16)), int(rng.integers(-side // 20, side // 20))
    soft = cv2.GaussianBlur(np.roll(opacity, (down, across), (0, 1)), (0, 0), side / 25)
    return np.asarray(soft[..., None] * rng.uniform(0, 0.5), np.float32)


def _covered(view: Image, strangers: Sequence[Image], rng: np.random.Generator) -> Image:
    """At most a quarter of it under a plain patch or a piece of another picture."""
    side = len(view)
    share, ratio = rng.uniform(0.15, 0.5), np.exp(rng.uniform(-0.5, 0.5))
    across, down = (min(side - 1, int(side * share * r)) for r in (ratio, 1 / ratio))
    left = int(rng.integers(-across // 3, side - across * 2 // 3))
    top = int(rng.integers(-down // 3, side - down * 2 // 3))
    view = view.copy()
    hole = view[max(0, top) : top + down, max(0, left) : left + across]
    if rng.random() < 0.5:
        hole[:] = rng.integers(0, 255, 3)
    else:
        other = strangers[int(rng.integers(len(strangers)))]
        y = int(rng.integers(max(1, other.shape[0] - down)))
        x = int(rng.integers(max(1, other.shape[1] - across)))
        piece = other[y : y + hole.shape[0], x : x + hole.shape[1]]
        hole[: piece.shape[0], : piece.shape[1]] = piece
    return view


def _camera_colours(rng: np.random.Generator) -> NDArray[np.float64]:
    """Exposure, white balance, saturation and a trace of hue, [3, 3]."""
    gain = np.exp(rng.uniform(-0.45, 0.35)) * np.exp(rng.uniform(-0.07, 0.07, 3))
    saturation = np.exp(rng.uniform(-0.3, 0.2))
    vivid = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), LUMINANCE)
    return np.asarray(np.diag(gain) @ vivid @ hue_turn(rng.uniform(-0.08, 0.08)), np.float64)


def _falloff(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.45)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return np.asarray(
        (1 + strength * (np.cos(angle) * x + np.sin(angle) * y))[..., None], np.float32
    )


def _glare(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    spot = np.zeros((side, side), np.float32)
    center = (int(rng.integers(side)), int(rng.integers(side)))
    axes = (int(rng.integers(4, side // 3)), int(rng.integers(3, side // 8)))
    cv2.ellipse(spot, center, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(spot, (0, 0), side / 30)
    return np.asarray(soft[..., None] * rng.uniform(60, 200), np.float32)


def _blurred(light: Matrix, rng: np.random.Generator) -> Matrix:
    """Out of focus, or shaken, at times."""
    kind = rng.random()
    if kind < 0.12:
        return np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.6, 1.8)), np.float32)
    if kind < 0.2:
        length = int(rng.integers(3, 9))
        stroke = np.zeros((length, length), np.float32)
        stroke[length // 2] = 1
        middle = (length - 1) / 2
        turn = cv2.getRotationMatrix2D((middle, middle), float(rng.uniform(0, 180)), 1)
        stroke[:] = cv2.warpAffine(stroke, turn, (length, length))
        return np.asarray(cv2.filter2D(light, -1, stroke / max(stroke.sum(), 1e-3)), np.float32)
    return light
