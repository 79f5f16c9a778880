import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.base import FLAT, GRAPH, BaseBuilder
from gallery.coarse import Coarse
from gallery.ranking import best_products
from gallery.vectors import query_vectors, stored_vectors
from gallery.view import View
from tests.gallery.samples import vectors_of

DIMENSION = 32


def rows(count: int, content: object = "rows") -> NDArray[np.float16]:
    return stored_vectors(vectors_of(content, count, DIMENSION), DIMENSION)


def coarse_of(vectors: NDArray[np.float16]) -> Coarse:
    coarse = Coarse.of(vectors)
    assert coarse is not None
    return coarse


@pytest.mark.parametrize("width", [1, 7, 199])
def test_no_row_scores_higher_than_it_says(width: int) -> None:
    vectors = rows(200)
    queries = query_vectors(vectors_of("queries", 20, DIMENSION), DIMENSION)
    # A stored row as a query, which is nearer to itself than rounding may let it look.
    queries[0] = vectors[17]
    ceilings, found = coarse_of(vectors).nearest(queries, width)
    assert found.shape == ceilings.shape == (20, width)
    assert (np.diff(ceilings) <= 0).all()
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    for query in range(20):
        others = np.setdiff1d(np.arange(200), found[query])
        assert scores[query, others].max() <= ceilings[query, -1]
        assert (scores[query, found[query]] <= ceilings[query]).all()
        # And it says little more than there is.
        assert (ceilings[query] <= scores[query, found[query]] + 0.1).all()
        assert ceilings[query, -1] <= np.sort(scores[query])[-width] + 0.05


def test_rows_differ_from_their_codes_by_no_more_than_the_error() -> None:
    vectors = rows(5000)
    coarse = coarse_of(vectors)
    codes = coarse.index.reconstruct_n(0, 5000)
    lengths = np.linalg.norm(vectors.astype(np.float64) - codes * coarse.steps, axis=1)
    assert lengths.max() == pytest.approx(coarse.error, rel=1e-3)
    assert 0.001 < coarse.error < 0.03


@pytest.mark.parametrize("louder", [1, 1.2, 4])
def test_it_grows_with_the_base(louder: float) -> None:
    """Rows with values that the steps were not made for have it made anew, if need be."""
    before = rows(600)
    later = before[:100].astype(np.float32)
    later[::7, 5] *= louder
    alive = np.arange(600) % 3 > 0
    builder = BaseBuilder(DIMENSION)
    builder.add_base(view_of(before, FLAT, coarse=True).base, alive)
    numbers = np.arange(601, 701)
    new = stored_vectors(later, DIMENSION)
    builder.add(new, numbers, numbers)
    base = builder.finish(sequence=2, last_vector=700)
    np.testing.assert_array_equal(base.vectors, np.concatenate([before[alive], new]))
    coarse = base.coarse
    assert coarse is not None
    codes = coarse.index.reconstruct_n(0, 500)
    lengths = np.linalg.norm(base.vectors.astype(np.float64) - codes * coarse.steps, axis=1)
    assert lengths.max() <= coarse.error + 1e-6 <= 0.03 + 1e-6
    same_steps = np.array_equal(coarse.steps, coarse_of(before).steps)
    assert same_steps == (louder < 4)


def test_a_direction_that_no_row_has_costs_nothing() -> None:
    vectors = rows(50)
    vectors[:, 3] = 0
    assert np.isfinite(coarse_of(stored_vectors(vectors, DIMENSION)).steps).all()


def test_where_it_would_tell_too_little_there_is_none() -> None:
    assert Coarse.of(rows(1)[:0]) is None
    # One row along each axis makes the steps of all others' values too long.
    wide = stored_vectors(np.concatenate([np.eye(512), vectors_of("wide", 100, 512)]), 512)
    assert Coarse.of(wide) is None


def view_of(vectors: NDArray[np.float16], kind: str, *, coarse: bool) -> View:
    builder = BaseBuilder(DIMENSION, kind)
    numbers = np.arange(len(vectors))
    builder.add(vectors, numbers + 1, numbers // 5)
    base = builder.finish(sequence=1, last_vector=len(vectors))
    if not coarse:
        base.coarse = None
    return View.of(base)


def test_answers_are_those_without_it() -> None:
    vectors = rows(2000)
    queries = query_vectors(vectors_of("queries", 50, DIMENSION), DIMENSION)
    with_it, without = (view_of(vectors, FLAT, coarse=coarse) for coarse in (True, False))
    assert with_it.base.coarse is not None
    for k in (1, 5, 30, 200):
        assert best_products(with_it, queries, k) == best_products(without, queries, k)
    gone = np.arange(1, 2000, 3)
    for view in (with_it, without):
        assert best_products(view.without_images(gone), queries, 5) == best_products(
            without.without_images(gone), queries, 5
        )


def test_rows_that_hide_behind_hundreds_of_others_are_found() -> None:
    """So close together that the coarse look can't tell them apart: it must look exactly."""
    rng = np.random.default_rng(3)
    crowd = rng.standard_normal(DIMENSION) + 0.01 * rng.standard_normal((3000, DIMENSION))
    vectors = stored_vectors(crowd, DIMENSION)
    queries = query_vectors(crowd[::100] + 0.001, DIMENSION)
    found = best_products(view_of(vectors, FLAT, coarse=True), queries, 5)
    assert found == best_products(view_of(vectors, FLAT, coarse=False), queries, 5)


def test_a_graph_has_none() -> None:
    assert view_of(rows(600), GRAPH, coarse=True).base.coarse is None
