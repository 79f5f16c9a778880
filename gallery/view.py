"""What a search sees: base, delta and tombstones of one revision, never changed.

A writer makes the next view from the last one and publishes it by one assignment; searches that
hold the last one finish on it, so they never wait and never see half a change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.base import Base, BaseBuilder
from gallery.delta import Delta
from gallery.records import SearchedSize
from gallery.scenes import scene_rows
from gallery.store import VectorRows


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The gallery's vectors at `sequence`, up to the vector numbered `last_vector`.

    `base_alive` is bool [rows of the base]: False is a tombstone. `base_dead` counts those.
    """

    base: Base
    base_alive: NDArray[np.bool_]
    base_dead: int
    delta: Delta
    sequence: int
    last_vector: int

    @classmethod
    def of(cls, base: Base) -> View:
        dead = len(base) - int(np.count_nonzero(base.alive))
        delta = Delta.empty(base.dimension)
        return cls(base, base.alive, dead, delta, base.sequence, base.last_vector)

    @property
    def deleted(self) -> int:
        return self.base_dead + len(self.delta) - int(np.count_nonzero(self.delta.alive))

    @property
    def rows(self) -> int:
        """How many vectors are alive."""
        return len(self.base) + len(self.delta) - self.deleted

    @property
    def size(self) -> SearchedSize:
        """Counted row by row: what a whole gallery holds, its database knows at once."""
        base, delta = np.flatnonzero(self.base_alive), np.flatnonzero(self.delta.alive)
        images = np.concatenate([self.base.images[base], self.delta.images[delta]])
        products = np.concatenate([self.base.products[base], self.delta.products[delta]])
        return SearchedSize(_distinct(products), _distinct(images))

    @property
    def pending(self) -> int:
        """How many rows the base doesn't have yet or has in vain."""
        return self.base_dead + len(self.delta)

    def at(self, sequence: int) -> View:
        """The same rows, known to be those of a later sequence."""
        return replace(self, sequence=sequence)

    def with_rows(self, rows: VectorRows) -> View:
        delta = self.delta.append(rows.vectors, rows.images, rows.products)
        return replace(self, delta=delta, last_vector=rows.last)

    def without_images(self, images: NDArray[np.int64]) -> View:
        """The view without any row of the images [n]; numbers it doesn't know are ignored."""
        base_rows = _rows_of(images, self.base.images)
        delta_rows = _rows_of(images, self.delta.images)
        base_alive, base_dead, delta = self.base_alive, self.base_dead, self.delta
        if len(base_rows):
            base_alive = base_alive.copy()
            base_alive[base_rows] = False
            base_dead = len(base_alive) - int(np.count_nonzero(base_alive))
        if len(delta_rows):
            alive = delta.alive.copy()
            alive[delta_rows] = False
            delta = replace(delta, alive=alive)
        return replace(self, base_alive=base_alive, base_dead=base_dead, delta=delta)

    def only(self, selected: NDArray[np.bool_]) -> View:
        """The view in which products look deleted unless they are `selected`, by number."""
        return self._narrowed(selected[self.base.products], selected[self.delta.products])

    def without_scenes(self) -> View:
        """The view in which what a scene is not compared with looks deleted."""
        return self._narrowed(~self.base.scenes, ~scene_rows(self.delta.images))

    def _narrowed(self, base: NDArray[np.bool_], delta: NDArray[np.bool_]) -> View:
        """The view in which rows look deleted unless they are kept, by row of base and delta."""
        base_alive = self.base_alive & base
        dead = len(base_alive) - int(np.count_nonzero(base_alive))
        kept = replace(self.delta, alive=self.delta.alive & delta)
        return replace(self, base_alive=base_alive, base_dead=dead, delta=kept)

    def folded(self, builder: BaseBuilder) -> Base:
        """A new base of the rows that are alive."""
        builder.add_base(self.base, self.base_alive)
        return self.with_delta(builder)

    def with_delta(self, builder: BaseBuilder) -> Base:
        """A new base of what the builder holds and the living rows of the delta."""
        alive, delta = self.delta.alive, self.delta
        # Exact: the delta's float32 values came from float16.
        vectors = delta.vectors[alive].astype(np.float16)
        builder.add(vectors, delta.images[alive], delta.products[alive])
        return builder.finish(sequence=self.sequence, last_vector=self.last_vector)

    def rebased(self, before: View, base: Base, *, dropped: bool = True) -> View:
        """This view on `base`, which was folded from `before`, an earlier view on the same base.

        What was added since stays in the delta, what was deleted since becomes a tombstone.
        `dropped`: the new base doesn't have the rows of the old one that were dead in `before`.
        """
        count = len(before.delta)
        old = self.base_alive[before.base_alive] if dropped else self.base_alive
        alive = np.concatenate([old, self.delta.alive[:count][before.delta.alive]])
        dead = len(alive) - int(np.count_nonzero(alive))
        return View(base, alive, dead, self.delta.after(count), self.sequence, self.last_vector)


def _distinct(numbers: NDArray[np.int64]) -> int:
    """How many different ones; the greatest is not much greater than there are rows."""
    seen = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.bool_)
    seen[numbers] = True
    return int(np.count_nonzero(seen))


def _rows_of(wanted: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in the ascending `images` [N] of every row of the `wanted` numbers [n]."""
    first = np.searchsorted(images, wanted, side="left")
    counts = np.searchsorted(images, wanted, side="right") - first
    starts = first - (np.cumsum(counts) - counts)
    rows: NDArray[np.int64] = np.repeat(starts, counts) + np.arange(int(counts.sum()))
    return rows
