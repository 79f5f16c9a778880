"""Whether two pictures look the same whatever their file, size and quality (difference hash).

Each of 64 bits tells whether a point of the shrunken grey picture is brighter than the next one
(Krawetz, "Kind of like that", 2013).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery import GalleryDamaged

# Bits that may differ after scaling and compressing again.
_DIFFERENT = 4


def perceptual_hash(jpeg: bytes) -> np.uint64:
    """The hash of a thumbnail. Raises GalleryDamaged when it is no picture."""
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    if grey is None:
        raise GalleryDamaged("A thumbnail can't be read. Restore the gallery from a backup.")
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, 1:] > small[:, :-1]).reshape(-1)
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes()))


def look_alike(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of the hashes [n] look like which of the others [m], bool [n, m]."""
    differing = np.bitwise_count(a[:, None] ^ b[None])
    return np.asarray(differing <= _DIFFERENT)
