import numpy as np
import pytest

from gallery.errors import InvalidVector
from gallery.vectors import query_vectors, stored_vectors


def test_references_come_out_at_unit_length_in_half_precision() -> None:
    stored = stored_vectors(np.array([[3.0, 4.0], [0.0, -2.0]], dtype=np.float32), 2)
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, np.array([[0.6, 0.8], [0.0, -1.0]], dtype=np.float16))


def test_what_was_stored_before_is_stored_as_it_is() -> None:
    once = stored_vectors(np.random.default_rng(0).standard_normal((5000, 3)), 3)
    np.testing.assert_array_equal(stored_vectors(once, 3), once)
    # Only what came from here: other float16 vectors are brought to unit length.
    twice = stored_vectors(2 * once, 3)
    np.testing.assert_allclose(np.linalg.norm(twice.astype(float), axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1.0, 1e20, 3e37])
def test_length_does_not_matter_however_extreme(scale: float) -> None:
    vectors = (np.array([[3.0, 4.0]]) * scale).astype(np.float32)
    np.testing.assert_allclose(query_vectors(vectors, 2), [[0.6, 0.8]], rtol=1e-4)


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        ([[np.nan, 1.0]], "NaN"),
        ([[np.inf, 1.0]], "infinity"),
        ([[1.0, 0.0], [0.0, 0.0]], "all zeros"),
        ([[1.0, 0.0, 0.0]], r"shape \[n, 2\]"),
        ([1.0, 0.0], r"shape \[n, 2\]"),
        (1.0, r"shape \[n, 2\]"),
        ([], r"shape \[n, 2\]"),
        ([[1.0], [1.0, 2.0]], "array of numbers"),
        ([["a", "b"]], "array of numbers"),
        (None, r"shape \[n, 2\]"),
    ],
)
def test_what_is_not_a_direction_is_refused(vectors: object, says: str) -> None:
    for check in (stored_vectors, query_vectors):
        with pytest.raises(InvalidVector, match=says):
            check(vectors, 2)  # type: ignore[arg-type]


def test_a_reference_needs_a_vector_but_there_may_be_no_query() -> None:
    none = np.empty((0, 2), dtype=np.float32)
    with pytest.raises(InvalidVector, match="at least one"):
        stored_vectors(none, 2)
    assert query_vectors(none, 2).shape == (0, 2)
