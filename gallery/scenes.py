"""Which vectors are compared with each other.

The vectors [V, D] of a photograph are that of the whole first and, where it shows any, those of its
bodies. The whole of one that shows bodies is a *scene*: product and place. Two scenes are never
compared, because what they share may be the place: where a camera stands still, every photograph
would be taken for every other. A scene is compared with bodies, and with photographs in which no
body was found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Flags = NDArray[np.bool_]
Vectors = NDArray[np.float32]

_LOWEST = -1.0  # of a cosine


def scenes_of(count: int) -> Flags:
    """Which of the `count` vectors of one photograph are of scenes."""
    flags = np.zeros(count, dtype=np.bool_)
    flags[:1] = count > 1
    return flags


def scene_rows(images: NDArray[np.int64]) -> Flags:
    """The same for the rows of many, by the number of each row's image [N], in ascending order."""
    again = images[1:] == images[:-1]
    flags = np.zeros(len(images), dtype=np.bool_)
    flags[:-1] = again
    flags[1:] &= ~again
    return flags


def divided(
    queries: Vectors,
    scenes: Flags | None,
    search: Callable[[Vectors], list[T]],
    search_bodies: Callable[[Vectors], list[T]],
) -> list[T]:
    """What each query [Q, D] finds: a scene (`scenes` [Q]) by `search_bodies`, others by `search`.

    `search_bodies` sees no scenes. Neither is asked for nothing.
    """
    if scenes is None or not scenes.any():
        return search(queries)
    of_scenes = iter(search_bodies(queries[scenes]))
    of_others = iter([] if scenes.all() else search(queries[~scenes]))
    return [next(of_scenes if scene else of_others) for scene in scenes]


def scores(
    queries: Vectors, scenes: Flags, references: Vectors, reference_scenes: Flags
) -> Vectors:
    """Cosines [Q, R] of unit vectors, -1 where two are not compared."""
    found: Vectors = queries @ references.T
    found[np.ix_(scenes, reference_scenes)] = _LOWEST
    return found


def best_scores(queries: Vectors, scenes: Flags, reference: Vectors) -> Vectors:
    """The score [Q] of each query by the vectors [V, D] of one photograph."""
    best: Vectors = scores(queries, scenes, reference, scenes_of(len(reference))).max(axis=1)
    return best
