from types import SimpleNamespace

import numpy as np
import pytest

from bench.retrieval import Entry, ask, recall

TOLERANCE = 1e-3  # the index holds half-precision values
EMBEDDER = SimpleNamespace(dimension=2, fingerprint="0" * 16)


def entry(identity, source, *degrees):
    angles = np.radians(degrees)
    return Entry(identity, source, np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))


def test_a_photograph_never_finds_itself():
    photos = [entry("a", "1", 0), entry("a", "2", 50), entry("b", "3", 10)]
    [answer] = ask(EMBEDDER, photos, photos[:1])
    assert not answer.right
    assert answer.score == pytest.approx(np.cos(np.radians(10)), abs=TOLERANCE)
    assert answer.margin == pytest.approx(
        np.cos(np.radians(10)) - np.cos(np.radians(50)), abs=TOLERANCE
    )
    assert answer.impostor == answer.score


def test_the_best_pair_of_views_decides():
    references = [entry("a", "1", 90, 20), entry("b", "2", 60)]
    [answer] = ask(EMBEDDER, references, [entry("a", "query", 150, 21)])
    assert answer.right
    assert answer.score == pytest.approx(np.cos(np.radians(1)), abs=TOLERANCE)
    assert answer.impostor == pytest.approx(np.cos(np.radians(39)), abs=TOLERANCE)


def test_recall_is_the_share_that_is_right():
    photos = [entry("a", "1", 0), entry("a", "2", 5), entry("b", "3", 60), entry("b", "4", 8)]
    # "4" is like those of a.
    assert recall(ask(EMBEDDER, photos, photos)) == 0.75


def test_one_product_alone_cannot_be_confused():
    with pytest.raises(ValueError, match="one product"):
        ask(EMBEDDER, [entry("a", "1", 0)], [entry("a", "2", 0)])
