"""The nearest references, the products that they show, and how these compare."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gallery.filters import Filter
from gallery.leaning import COMPARED
from gallery.milvus.compared import Compared
from gallery.milvus.connection import Connection, Level, Row, one_of
from gallery.milvus.filtering import NO_SCENE, expression
from gallery.milvus.log import Log
from gallery.milvus.schema import REFERENCES, WIDTH
from gallery.records import Candidate
from gallery.scenes import divided

_FIELDS = ("image", "revision", "image_id", "product_id", "name", "metadata")
# References asked for, for each product wanted: a product's photographs are near each other.
_REFERENCES_EACH = 8
_LEAST = 64
# The server adds float32 up in an order of its own: closer scores than this are the same.
_DIGITS = 6


def nearest(
    connection: Connection,
    log: Log,
    compared: Compared,
    queries: NDArray[np.float32],
    k: int,
    where: Filter | None,
    scenes: NDArray[np.bool_] | None,
    level: Level,
) -> list[list[Candidate]]:
    """For each query of [Q, D] its k best products, best first, as gallery.ranking finds them."""
    if scenes is None:
        scenes = np.zeros(len(queries), dtype=np.bool_)
    kept = "" if where is None else expression(where)
    bodies = f"({kept}) and {NO_SCENE}" if kept else NO_SCENE
    looked_at = max(k, COMPARED)
    near = divided(
        queries,
        scenes,
        lambda asked: _nearest(connection, log, asked, looked_at, kept, level),
        lambda asked: _nearest(connection, log, asked, looked_at, bodies, level),
    )
    products = {hit["product_id"] for hits in near for hit in hits}
    held = compared.of(products, log.head.revision, level)
    found = []
    for query, scene, hits in zip(queries, scenes, near, strict=True):
        scored = []
        for hit in hits:
            leaning, raw = held.get(hit["product_id"]), hit["score"]
            # A product that has gone meanwhile is still what was found.
            score = raw if leaning is None else leaning.score(query, scene=bool(scene))
            scored.append({**hit, "nearest": raw, "score": score})
        found.append([_candidate(hit) for hit in sorted(scored, key=_rank)[:k]])
    return found


def _nearest(
    connection: Connection,
    log: Log,
    queries: NDArray[np.float32],
    k: int,
    kept: str,
    level: Level,
) -> list[list[Row]]:
    limit = max(_LEAST, _REFERENCES_EACH * k)
    found = _asked(connection, log, queries, limit, kept, level)
    return [
        _products(connection, log, query, k, kept, level, hits, full=full)
        for query, (hits, full) in zip(queries, found, strict=True)
    ]


def _products(
    connection: Connection,
    log: Log,
    query: NDArray[np.float32],
    k: int,
    where: str,
    level: Level,
    hits: Sequence[Row],
    *,
    full: bool,
) -> list[Row]:
    best = _best(hits)
    # Some products have more references near the query than were asked for: look past them.
    # References of a change that isn't in the log yet may be nearer than all others, too.
    while full and len(best) < k:
        known = len(best)
        others = f"revision <= {log.head.revision} and not ({one_of('product_id', best)})"
        beyond = f"({where}) and {others}" if where else others
        ((hits, full),) = _asked(connection, log, query[None], max(_LEAST, k), beyond, level)
        best |= _best(hits)
        # Whatever the server makes of the filter: it is not asked for ever.
        full = full and len(best) > known
    return sorted(best.values(), key=_rank)[:k]


def _asked(
    connection: Connection,
    log: Log,
    queries: NDArray[np.float32],
    limit: int,
    where: str,
    level: Level,
) -> list[tuple[list[Row], bool]]:
    """For each query the references that are there, and whether there may be more."""
    found = connection.search(
        REFERENCES,
        queries,
        limit,
        where,
        _FIELDS,
        parameters={"ef": max(WIDTH, limit)},
        level=level,
    )
    revision = log.head.revision
    if any(hit["revision"] > revision for hits in found for hit in hits):
        # Those of a change that isn't in the log yet don't count.
        revision = log.refresh().revision
    return [
        ([hit for hit in hits if hit["revision"] <= revision], len(hits) == limit) for hits in found
    ]


def _best(hits: Iterable[Row]) -> dict[str, Row]:
    """Product id → its best reference."""
    best: dict[str, Row] = {}
    for hit in sorted(hits, key=_rank):
        best.setdefault(hit["product_id"], hit)
    return best


def _rank(hit: Row) -> tuple[float, int, int]:
    # Equal scores: the image that was added first; of its rows, the newest.
    return -round(hit["score"], _DIGITS), hit["image"], -hit["revision"]


def _candidate(hit: Row) -> Candidate:
    # float16 leaves vectors up to 0.1 % longer than 1; a cosine is at most 1.
    score, likeness = (min(float(hit[name]), 1.0) for name in ("score", "nearest"))
    metadata = json.loads(hit["metadata"])
    return Candidate(hit["product_id"], hit["name"], score, hit["image_id"], metadata, likeness)
