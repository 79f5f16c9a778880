"""Which open photographs the embedded detector was never trained on."""

import zlib

from models.training.open_data import Photo

PARTS = 5
KEPT_OUT = 4


def kept_out(photo: Photo) -> bool:
    """Whether a photograph of the open data is for evaluation alone.

    A drink goes by its source's number, with all its copies; a grocery by its product.
    """
    number = int(photo.source) if photo.source.isdigit() else zlib.crc32(photo.identity.encode())
    return number % PARTS == KEPT_OUT
