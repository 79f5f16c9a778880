from pathlib import Path

import numpy as np
import pytest

from bench import gallery
from bench.clusters import FAMILY, make, nearest_products
from bench.gallery import Bench, Setting
from gallery.leaning import COMPARED, product_scores

NONE = np.zeros(1, np.bool_)


def test_clusters_have_the_cosines_they_are_said_to_have():
    clusters = make(2000, np.random.default_rng(0))
    vectors = clusters.vectors.astype(np.float32)
    cosines = vectors @ vectors.T
    same = clusters.products[:, None] == clusters.products
    np.fill_diagonal(same, False)
    assert 0.78 < cosines[same].mean() < 0.82
    assert np.percentile(cosines[same], 1) > 0.6
    families = clusters.products // FAMILY
    kin = (families[:, None] == families) & (clusters.products[:, None] != clusters.products)
    assert 0.3 < cosines[kin].mean() < 0.5
    views = clusters.views(clusters.products, np.random.default_rng(1))
    assert nearest_products(clusters, np.arange(2000), views[::50], 1)[0] == [clusters.products[0]]


def test_exact_products_are_ranked_by_their_best_view_as_it_leans():
    clusters = make(160, np.random.default_rng(0))
    queries = clusters.views(clusters.products[::40], np.random.default_rng(1))
    rows = np.arange(0, 160, 3)
    for query, ranked in zip(queries, nearest_products(clusters, rows, queries, 5), strict=True):
        peaks = {}
        for product in np.unique(clusters.products[rows]).tolist():
            own = clusters.vectors[rows[clusters.products[rows] == product]]
            peaks[product] = product_scores(query[None], NONE, list(own[:, None])).max()
        # No more products than are compared so.
        assert len(peaks) <= COMPARED
        assert ranked == sorted(peaks, key=lambda product: -peaks[product])[:5]


@pytest.mark.parametrize("graph_from", [200, 10**6])
def test_every_figure_is_measured(tmp_path: Path, monkeypatch, graph_from: int):
    monkeypatch.setattr(gallery, "QUERIES", 20)
    monkeypatch.setattr(gallery, "SINGLE_ADDS", 5)
    monkeypatch.setattr(gallery, "DELETES", 5)
    monkeypatch.setattr(gallery, "LOADED_SECONDS", 0.2)
    found = Bench(tmp_path, Setting(600, graph_from)).run()
    assert found["filter keeping 1 %: recall"] == "1.0000"
    assert found["label accuracy (exact)"] == "1.000 (1.000)"
    kind = "hnsw32" if graph_from == 200 else "flat"
    assert found["index built"].startswith(kind)
    assert len(found) == 14
