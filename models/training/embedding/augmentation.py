"""Random changes to a training image: PP-ShiTuV2's published ones, and what cameras do to products.

Published: moved, mirrored, turned. Ours: seen aslant, on another background, in other light, under
a reflection, out of focus, half hidden, compressed. Images are uint8 [H, W, 3], RGB; a change that
draws takes the generator, so the same generator in the same state gives the same view.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

PADDING = 10 / 224  # of the side: the published padding
TURNED_SHARE = 0.5
DEGREES = 90.0
# Chosen by us, as are their strengths below.
ASLANT_SHARE = 0.5
LIT_SHARE = 0.5
GLARE_SHARE = 0.2
BLUR_SHARE = 0.2
HIDDEN_SHARE = 0.3
JPEG_SHARE = 0.3

CORNER_SHIFT = 0.12  # of a side, inwards or outwards
LIGHT = (0.5, 1.3)
HIDDEN_AREA = (0.05, 0.3)
JPEG_QUALITY = (30, 80)
TEXTURE_CELLS = 8


def training_view(image: Image, side: int, rng: np.random.Generator) -> Image:
    """One training view, uint8 [side, side, 3], of an image uint8 [H, W, 3], or 4 with alpha."""
    if image.shape[2] == 4:
        height, width = image.shape[:2]
        image = on_background(image, background(height, width, rng))
    view = plain_view(image, side)
    if rng.random() < ASLANT_SHARE:
        view = aslant(view, rng)
    view = published(view, rng)
    for share, change in (
        (LIT_SHARE, lit),
        (GLARE_SHARE, glare),
        (BLUR_SHARE, blurred),
        (HIDDEN_SHARE, hidden),
        (JPEG_SHARE, compressed),
    ):
        if rng.random() < share:
            view = change(view, rng)
    return np.ascontiguousarray(view)


def plain_view(image: Image, side: int) -> Image:
    """The image as it is served, uint8 [side, side, 3]: the aspect is not kept.

    By area, for photographs are larger than views.
    """
    return _uint8(cv2.resize(on_white(image), (side, side), interpolation=cv2.INTER_AREA))


def published(view: Image, rng: np.random.Generator) -> Image:
    """PP-ShiTuV2's own augmentation of an image that has the input's size already."""
    if rng.random() < 0.5:
        view = view[:, ::-1]
    reach = round(PADDING * view.shape[0])
    right, down = rng.integers(-reach, reach + 1, size=2).tolist()
    view = moved(view, right, down)
    if rng.random() < TURNED_SHARE:
        view = turned(view, rng.uniform(-DEGREES, DEGREES))
    return view


def moved(image: Image, right: int, down: int) -> Image:
    """The image that many pixels away from its place, on black: padding and a crop."""
    reach = max(abs(right), abs(down))
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)))
    top, left = reach - down, reach - right
    return padded[top : top + image.shape[0], left : left + image.shape[1]]


def turned(image: Image, degrees: float) -> Image:
    """The image turned counter-clockwise about its middle, in its frame, on black."""
    height, width = image.shape[:2]
    # Pixels are points to OpenCV: the middle of a row of 4 is at 1.5.
    middle = ((width - 1) / 2, (height - 1) / 2)
    rotation = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    return _uint8(cv2.warpAffine(image, rotation, (width, height), flags=cv2.INTER_LINEAR))


def aslant(image: Image, rng: np.random.Generator) -> Image:
    """The image as a plane seen from the side: each corner is drawn near its place, on black."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    shifts = rng.uniform(-CORNER_SHIFT, CORNER_SHIFT, size=(4, 2)).astype(np.float32)
    size = np.array([width - 1, height - 1], np.float32)
    transform = cv2.getPerspectiveTransform(corners * size, (corners + shifts) * size)
    return _uint8(cv2.warpPerspective(image, transform, (width, height), flags=cv2.INTER_LINEAR))


def background(height: int, width: int, rng: np.random.Generator) -> Image:
    """A made ground: patches of random colours that run into each other, or one plain colour."""
    cells = 1 if rng.random() < 0.5 else TEXTURE_CELLS
    colours = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return _uint8(cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC))


def on_background(image: Image, ground: Image) -> Image:
    """An image with alpha, [H, W, 4], laid on a ground [H, W, 3]."""
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def on_white(image: Image) -> Image:
    """The image, or what it shows on white if it has alpha."""
    if image.shape[2] == 3:
        return image
    return on_background(image, np.full((*image.shape[:2], 3), 255, np.uint8))


def lit(image: Image, rng: np.random.Generator) -> Image:
    """In half to a third more light, each channel a little differently."""
    gains = rng.uniform(*LIGHT) * rng.uniform(0.9, 1.1, size=3)
    return np.clip(image * gains, 0, 255).astype(np.uint8)


def glare(image: Image, rng: np.random.Generator) -> Image:
    """A soft white reflection somewhere: an ellipse that fades out."""
    height, width = image.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    across, along = rng.uniform(0.08, 0.3, size=2) * (width, height)
    rows, columns = np.mgrid[:height, :width]
    fading = np.exp(-(((columns - x) / across) ** 2) - ((rows - y) / along) ** 2)
    strength = (rng.uniform(0.6, 1.0) * fading)[..., None]
    return np.asarray(image + (255 - image.astype(np.float32)) * strength).astype(np.uint8)


def blurred(image: Image, rng: np.random.Generator) -> Image:
    """Out of focus, by up to about one part in seventy of the side."""
    return _uint8(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.0) * image.shape[1] / 70))


def hidden(image: Image, rng: np.random.Generator) -> Image:
    """5 to 30 % of the image under a rectangle of one colour."""
    height, width = image.shape[:2]
    area, aspect = rng.uniform(*HIDDEN_AREA), np.exp(rng.uniform(-0.7, 0.7))
    high = min(height, round(np.sqrt(area / aspect) * height))
    wide = min(width, round(np.sqrt(area * aspect) * width))
    top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    view = image.copy()
    view[top : top + high, left : left + wide] = rng.integers(0, 256, 3)
    return view


def compressed(image: Image, rng: np.random.Generator) -> Image:
    """As it comes out of a JPEG of low quality."""
    quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
    # Channels in the other order cost nothing: they come back so.
    done, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    view = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if view is None:
        raise ValueError(f"no JPEG can be made of {list(image.shape)}")
    return _uint8(view)


def _uint8(image: NDArray[np.generic]) -> Image:
    # OpenCV keeps the type; its annotations do not know that.
    return image.astype(np.uint8, copy=False)
