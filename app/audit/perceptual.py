"""Whether two pictures show the same pixels, whatever their file, size, light and small cuts."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery import GalleryDamaged

# Coarse enough that a few per cent cut off a side are less than a pixel or two.
_SIDE = 32


def appearance(jpeg: bytes) -> NDArray[np.float32]:
    """Of a thumbnail: its grey pixels at 32 by 32, blurred, as a vector [1024] of unit length.

    The inner product of two is their normalised correlation: brightness and contrast cancel.
    Raises GalleryDamaged when it is no picture.
    """
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    if grey is None:
        raise GalleryDamaged("A thumbnail can't be read. Restore the gallery from a backup.")
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    blurred = np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0), np.float32).reshape(-1)
    blurred -= blurred.mean()
    length = np.linalg.norm(blurred)
    # A plain picture correlates with nothing.
    return blurred / length if length > 1 else np.zeros_like(blurred)
