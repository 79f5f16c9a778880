"""From uint8 pixels to the float32 planes a network takes."""

from collections.abc import Callable
from math import ceil, log2
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pack import Interpolation, NetworkSpec

INTERPOLATION: dict[Interpolation, int] = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}

# An image is halved while so many times the pixels a network takes are left on each side. Halving
# and averaging then differ from averaging at once by a grey level or two; below, vectors turn.
_SPARE = 1.5
# Of a photograph that was read at its half, a part is taken from there while it has so many. Its
# vector differs from that of the whole photograph's pixels by less than if its box were two pixels
# aside (cosines .995 and .991, of parts of 150 photographs).
_ENOUGH = 1.15


class Pyramid:
    """An image uint8 [H, W, 3], and its halves, quarters …, each made when it is first asked for.

    Averaging all pixels of a large photograph takes longer than a network's pass: 37 ms for 12
    megapixels. Detector, whole image and crops share what has been averaged once. Not thread-safe.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """Begin with the image itself.

        Raises:
            ValueError: it has another type or shape.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        self._levels = {0: image}
        self._read = 0  # the level that was read
        self._whole: Callable[[], NDArray[np.uint8]] = lambda: image
        self._top, self._left = 0, 0
        self._bottom, self._right = (int(side) for side in image.shape[:2])

    @classmethod
    def read_reduced(
        cls,
        image: NDArray[np.uint8],
        height: int,
        width: int,
        whole: Callable[[], NDArray[np.uint8]],
    ) -> "Pyramid":
        """Begin with a half, quarter … of an image of `height` by `width` pixels.

        `whole` gives the image itself; it is asked, once, when a part needs more pixels.

        Raises:
            ValueError: the reduced image has another type or shape.
        """
        pyramid = cls(image)
        pyramid._read = round(log2(width / image.shape[1]))
        pyramid._levels = {pyramid._read: image}
        pyramid._whole = whole
        pyramid._bottom, pyramid._right = height, width
        return pyramid

    @property
    def height(self) -> int:
        return self._bottom - self._top

    @property
    def width(self) -> int:
        return self._right - self._left

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """All of them, a view."""
        return self._at(0)

    def crop(self, left: int, top: int, right: int, bottom: int) -> "Pyramid":
        """A part, in pixels of this one, at least one; it shares what has been halved."""
        part = Pyramid.__new__(Pyramid)
        part._levels, part._read, part._whole = self._levels, self._read, self._whole
        part._left, part._right = self._left + left, self._left + right
        part._top, part._bottom = self._top + top, self._top + bottom
        return part

    def reduced(self, height: int, width: int) -> NDArray[np.uint8]:
        """The coarsest view of it that leaves enough to average for `height` by `width` pixels.

        Where that is finer than what was read, what was read, if it will do.
        """
        times = min(self.height / height, self.width / width)
        level = 0
        while times >= _SPARE * 2 ** (level + 1):
            level += 1
        # Not what is at hand: an answer shall not depend on what was asked before it.
        if times >= _ENOUGH * 2**self._read:
            level = max(level, self._read)
        return self._at(level)

    def _at(self, level: int) -> NDArray[np.uint8]:
        if level < min(self._levels):
            self._levels[0] = self._whole()
        for finer in range(level):
            if finer in self._levels and finer + 1 not in self._levels:
                image = self._levels[finer]
                height, width = image.shape[0] // 2, image.shape[1] // 2
                self._levels[finer + 1] = _resize(image[: 2 * height, : 2 * width], height, width)
        rows = slice(self._top >> level, ceil(self._bottom / 2**level))
        columns = slice(self._left >> level, ceil(self._right / 2**level))
        return self._levels[level][rows, columns]


Picture: TypeAlias = NDArray[np.uint8] | Pyramid


def reading_side(detector: NetworkSpec, embedder: NetworkSpec) -> int | None:
    """Pixels that a reduced photograph needs on each side; None where only the whole one will do.

    A body as wide as a quarter of it then still has enough for its crop.
    A network that interpolates takes its pixels from the whole photograph.
    """
    if not detector.interpolation == embedder.interpolation == "area":
        return None
    return ceil(max(_SPARE * max(detector.input_size), 4 * _ENOUGH * max(embedder.input_size)))


class Preprocessor:
    """Resize without keeping the aspect, `(v * scale - mean) / std`, channels first.

    Resizing works on uint8 and the arithmetic on the few pixels left after it, as one scale and one
    shift a plane, straight into the batch: 4 to 7 times faster than in the order of the formula.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        self._height, self._width = spec.input_size
        self._interpolation = INTERPOLATION[spec.interpolation]
        std = np.asarray(spec.std)
        self._factor = (spec.scale / std).tolist()
        self._shift = (-np.asarray(spec.mean) / std).tolist()

    def batch(self, count: int) -> NDArray[np.float32]:
        """An empty batch float32 [count, 3, height, width] for `write` to fill."""
        return np.empty((count, 3, self._height, self._width), np.float32)

    def write(self, picture: Picture, out: NDArray[np.float32]) -> None:
        """Fill `out` float32 [3, height, width] from an image uint8 [H, W, 3], RGB, 1×1 or more.

        Raises:
            ValueError: the image has another type or shape.
        """
        pyramid = picture if isinstance(picture, Pyramid) else Pyramid(picture)
        for plane, target, factor, shift in zip(
            cv2.split(self._resized(pyramid)), out, self._factor, self._shift, strict=True
        ):
            # In one pass: 0.24 ms for 640 x 640 pixels where NumPy's two take 1.3.
            cv2.addWeighted(plane, factor, plane, 0.0, shift, target, cv2.CV_32F)

    def _resized(self, pyramid: Pyramid) -> NDArray[np.uint8]:
        height, width = self._height, self._width
        if self._interpolation == cv2.INTER_AREA:
            image = pyramid.reduced(height, width)
            if min(image.shape[0] / height, image.shape[1] / width) >= 1:
                return _averaged(image, height, width)
        else:
            image = pyramid.pixels
        resized = cv2.resize(image, (width, height), interpolation=self._interpolation)
        return np.asarray(resized, np.uint8)


def _averaged(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """An image uint8 [H, W, 3] that is larger, averaged down to [height, width, 3].

    Halves are what OpenCV averages quickly (0.3 ms for 860 x 440 pixels, and 1.6 by any factor at
    once): so a side is interpolated at twice the length wanted, and that is halved.
    """
    # Points further apart than 1.5 pixels would skip some: a side that long is halved first.
    while image.shape[1] >= 2 * _SPARE * width:
        image = _resize(image[:, : image.shape[1] // 2 * 2], image.shape[0], image.shape[1] // 2)
    while image.shape[0] >= 2 * _SPARE * height:
        image = _resize(image[: image.shape[0] // 2 * 2], image.shape[0] // 2, image.shape[1])
    # Points closer than that skip none, and averaging would only blur.
    rows = height if image.shape[0] < _SPARE * height else 2 * height
    columns = width if image.shape[1] < _SPARE * width else 2 * width
    return _resize(_resize(image, rows, columns), height, width)


def _resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    # To the half of a side it is the mean of each two pixels, the same as averaging.
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
