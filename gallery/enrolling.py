"""Which of the images to add are new to a product, and the ids that they get."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from gallery.records import AddedImage, NewImage

Checked = tuple[NewImage, NDArray[np.float16]]
Fresh = tuple[str, NewImage, NDArray[np.float16]]


def sorted_out(
    known: Mapping[str, str], taken: AbstractSet[str], images: Sequence[Checked]
) -> tuple[list[AddedImage], list[Fresh]]:
    """Answers for all images, given with their vectors [V, D], and those that are new, with ids.

    `known`: content hash → id of the images that the product has. `taken`: ids in use elsewhere.
    """
    there, used = dict(known), set(taken)
    answers: list[AddedImage] = []
    fresh: list[Fresh] = []
    for image, vectors in images:
        known_id = there.get(image.content_sha256)
        if known_id is not None:
            answers.append(AddedImage(known_id, duplicate=True))
            continue
        image_id = image.id if image.id and image.id not in used else _new_id()
        used.add(image_id)
        there[image.content_sha256] = image_id
        answers.append(AddedImage(image_id, duplicate=False))
        fresh.append((image_id, image, vectors))
    return answers, fresh


def _new_id() -> str:
    """The time in milliseconds, then 80 random bits, in hexadecimal (as UUID version 7 has them).

    New ones sort behind old ones: random ones would touch pages all over a million ids' index.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
