"""Which base comes after a view, and how it is made: exact, a graph, or the graph grown further.

A graph is believed only after it has been compared with exact search.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gallery import snapshot
from gallery.base import FLAT, GRAPH, Base, BaseBuilder
from gallery.store import State
from gallery.view import View

logger = logging.getLogger(__name__)

LEAST_RECALL = 0.97
_CHECKED_QUERIES = 128
_CHECKED_WIDTH = 10
# Faiss's own rounding: a row scored so close to the worst that exact search found is as good.
_ROUNDING = 1e-5
# A graph with more dead rows than this share is built anew, without them.
_MOST_DEAD = 0.2
# After a graph that was not good enough, how far the gallery grows before the next is tried.
_PATIENCE = 1.25
# Folding copies an exact base: this part of a great one may be pending, and is searched as quickly.
_PENDING_PART = 32
# How many times what makes a view full means that an exact base must do for now.
_FLOOD = 8
# Half of the cores: the others answer.
_THREADS = max(1, (os.cpu_count() or 1) // 2)


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """The base after a view; `dropped`: it left out the rows of the view's base that were dead."""

    base: Base
    dropped: bool


class Folding:
    """Makes bases for galleries of up to `graph_from` vectors exact, for greater ones graphs."""

    def __init__(self, graph_from: int, compact_at: int) -> None:
        """`compact_at`: so many pending rows make a view full."""
        self._graph_from = graph_from
        self._compact_at = compact_at

    def due(self, view: View) -> bool:
        """Whether the view should be given another base."""
        return self.full(view) or self.wants_graph(view)

    def full(self, view: View) -> bool:
        """Whether what is pending slows searches down."""
        if view.base.kind == FLAT:
            return view.pending > max(self._compact_at, len(view.base) // _PENDING_PART)
        return len(view.delta) > self._compact_at or self._worn(view)

    def flooded(self, view: View) -> bool:
        """Whether rows come quicker than a graph grows."""
        return len(view.delta) > _FLOOD * self._compact_at

    def wants_graph(self, view: View) -> bool:
        """Whether the view has outgrown its exact base."""
        return view.base.kind == FLAT and view.rows >= self._graph_from

    def cheap(self, view: View) -> bool:
        """Whether folding is worth it for a few rows, because it only copies."""
        return view.base.kind == FLAT and view.rows < self._graph_from

    def folded(
        self, view: View, state: State, *, graph: bool = True, stop: Callable[[], bool]
    ) -> Folded:
        """The base of all the view's living rows, a `graph` if there are enough of them.

        Raises BuildStopped when `stop` says so.
        """
        if graph and view.rows >= self._graph_from:
            if view.base.kind == GRAPH and not self._worn(view):
                grown = self._grown(view, state, stop)
                if grown is not None and self._good(grown):
                    return Folded(grown, dropped=False)
            fresh = self._fresh_graph(view, stop)
            if self._good(fresh):
                return Folded(fresh, dropped=True)
            self._graph_from = int(view.rows * _PATIENCE) + 1
        return Folded(view.folded(BaseBuilder(view.base.dimension)), dropped=True)

    def _worn(self, view: View) -> bool:
        return view.base_dead > _MOST_DEAD * len(view.base)

    def _fresh_graph(self, view: View, stop: Callable[[], bool]) -> Base:
        started = time.perf_counter()
        builder = BaseBuilder(view.base.dimension, GRAPH, threads=_THREADS, stop=stop)
        base = view.folded(builder)
        logger.info("graph of %d rows built in %.1f s", len(base), time.perf_counter() - started)
        return base

    def _grown(self, view: View, state: State, stop: Callable[[], bool]) -> Base | None:
        """The view's graph with its delta; None when the graph can't be copied."""
        base = view.base
        if base.source is not None:
            # What is mapped can't grow, nor can its clone.
            try:
                base = snapshot.load(base.source, state, mapped=False)
            except snapshot.Unusable as reason:
                logger.warning("index snapshot %s is not used: %s", base.source, reason)
                return None
        builder = BaseBuilder.extending(base, view.base_alive, threads=_THREADS, stop=stop)
        return view.with_delta(builder)

    def _good(self, base: Base) -> bool:
        """Whether the graph finds what exact search does, for some of its own rows."""
        recall = recall_of(base)
        if recall >= LEAST_RECALL:
            return True
        logger.warning(
            "a graph of %d rows found only %.3f of what exact search does and is not used",
            len(base),
            recall,
        )
        return False


def recall_of(base: Base) -> float:
    """The share of the exactly nearest rows of sampled rows that the graph finds, 0 to 1."""
    living = np.flatnonzero(base.alive)
    # The same ones every time: a base is good or it is not.
    sampled = np.random.default_rng(0).choice(
        living, min(_CHECKED_QUERIES, len(living)), replace=False
    )
    queries = base.vectors[np.sort(sampled)].astype(np.float32)
    exact, _ = base.exactly_nearest(queries, _CHECKED_WIDTH)
    found, _ = base.nearest(queries, _CHECKED_WIDTH)
    return float((found >= exact[:, -1:] - _ROUNDING).mean())
