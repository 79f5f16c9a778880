"""Great galleries get a graph, which is compared with exact search before it is used."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery import Gallery, In, folding, index
from gallery.base import FLAT, GRAPH, Base, BaseBuilder, BuildStopped
from gallery.folding import Folding
from gallery.vectors import query_vectors, stored_vectors
from gallery.view import View
from tests.gallery import samples
from tests.gallery.reference import Reference
from tests.gallery.samples import flip_byte, held_rows, new_image, vectors_of

DIMENSION = 16
ROWS = 3000


def opened(folder: Path, graph_from: int = 200, compact_at: int = 50) -> Gallery:
    return samples.opened(folder, dimension=DIMENSION, compact_at=compact_at, graph_from=graph_from)


def fill(gallery: Gallery, products: range, images: int = 10) -> None:
    for product in products:
        gallery.put_product(f"p{product}", f"product {product}", {"third": product % 3})
        gallery.add_images(
            f"p{product}",
            [new_image((product, n), dimension=DIMENSION) for n in range(images)],
        )


def reference(products: range, images: int = 10) -> Reference:
    plain = Reference()
    for product in products:
        plain.put(f"p{product}", f"product {product}")
        for n in range(images):
            plain.add(f"p{product}", (product, n), vectors_of((product, n), 1, DIMENSION))
    return plain


def check(gallery: Gallery, plain: Reference, least: float = 0.97) -> None:
    """The best three products of each query, and nearly all of them right."""
    queries = vectors_of("queries", 40, DIMENSION)
    right = 0
    for query, candidates in zip(queries, gallery.search(queries, 3).candidates, strict=True):
        expected = plain.search(query, 3)
        assert len(candidates) == 3
        right += sum(
            c.product_id == e[0] and c.score == pytest.approx(e[3], abs=3e-6)
            for c, e in zip(candidates, expected, strict=True)
        )
    assert right >= least * 3 * len(queries)
    assert gallery.consistent()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in 30 s")


def graph(count: int = ROWS) -> Base:
    builder = BaseBuilder(DIMENSION, GRAPH, threads=2)
    numbers = np.arange(count)
    builder.add(rows(count), numbers, numbers // 5)
    return builder.finish(sequence=1, last_vector=count)


def rows(count: int) -> NDArray[np.float16]:
    return stored_vectors(vectors_of("rows", count, DIMENSION), DIMENSION)


def test_a_graph_finds_what_exact_search_does() -> None:
    base = graph()
    assert base.kind == GRAPH
    np.testing.assert_array_equal(base.vectors, rows(ROWS))
    assert folding.recall_of(base) > 0.99
    queries = query_vectors(vectors_of("queries", 20, DIMENSION), DIMENSION)
    for width in (ROWS - 1, ROWS, 2 * ROWS):
        exact = base.exactly_nearest(queries, width)
        for got, expected in zip(base.nearest(queries, width), exact, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_it_is_exact_when_the_graph_falls_to_pieces() -> None:
    """Equal rows link only to each other: from the entry point the others can't be reached."""
    vectors = np.repeat(rows(4), 500, axis=0)
    builder = BaseBuilder(DIMENSION, GRAPH)
    numbers = np.arange(2000)
    builder.add(vectors, numbers, numbers)
    base = builder.finish(sequence=1, last_vector=2000)
    found, _ = base.nearest(vectors[::500].astype(np.float32), 400)
    assert (found > 0.99).mean() == 1.0


def test_building_can_be_stopped() -> None:
    builder = BaseBuilder(DIMENSION, GRAPH, stop=lambda: True)
    with pytest.raises(BuildStopped):
        builder.add(rows(5), np.arange(5), np.arange(5))


def test_a_rebuild_does_not_wait_for_a_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "QUIET_SECONDS", 0.0)
    gallery = opened(tmp_path, graph_from=1000)
    fill(gallery, range(40))
    gallery._index._folding._graph_from = 200
    begun = threading.Event()

    def endless(_: Folding, __: View, stop: Callable[[], bool]) -> Base:
        begun.set()
        until(stop)
        raise BuildStopped

    with monkeypatch.context() as patched:
        patched.setattr(Folding, "_fresh_graph", endless)
        rebuilding = threading.Thread(target=gallery.rebuild)
        rebuilding.start()
        assert begun.wait(10)
        rebuilding.join(5)
        assert not rebuilding.is_alive()
        until(lambda: gallery.stats().index_state == "compacting")
        assert gallery.stats().index_kind == FLAT
        gallery.close()
    with opened(tmp_path) as gallery:
        until(lambda: gallery.stats().index_kind == GRAPH)
        gallery.rebuild()
        until(lambda: gallery.stats().index_kind == GRAPH)
        check(gallery, reference(range(40)))


def test_a_graph_that_is_being_made_gives_way_to_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "QUIET_SECONDS", 0.0)
    begun = threading.Event()

    def endless(_: Folding, __: View, stop: Callable[[], bool]) -> Base:
        begun.set()
        until(stop)
        raise BuildStopped

    with monkeypatch.context() as patched, opened(tmp_path, graph_from=200) as gallery:
        patched.setattr(Folding, "_fresh_graph", endless)
        fill(gallery, range(40))
        assert begun.wait(10)
        rebuilding = threading.Thread(target=gallery.rebuild)
        rebuilding.start()
        rebuilding.join(10)
        assert not rebuilding.is_alive()
        check(gallery, reference(range(40)))


def test_a_gallery_that_grows_gets_a_graph_and_keeps_its_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "QUIET_SECONDS", 0.0)
    with opened(tmp_path) as gallery:
        fill(gallery, range(15))
        assert gallery.stats().index_kind == FLAT
        fill(gallery, range(15, 60))
        until(lambda: gallery.stats().index_kind == GRAPH)
        check(gallery, reference(range(60)))
        fill(gallery, range(60, 80))
        until(lambda: held_rows(gallery)[0] > 740)
        check(gallery, reference(range(80)))
        assert gallery.stats().index_kind == GRAPH
        among = gallery.search(vectors_of("queries", 5, DIMENSION), 5, In("third", (1,)))
        for candidates in among.candidates:
            assert [int(c.product_id[1:]) % 3 for c in candidates] == [1] * 5
    with opened(tmp_path) as gallery:
        assert gallery.stats().index_kind == GRAPH
        check(gallery, reference(range(80)))


def test_deleted_rows_of_a_graph_stay_away_across_restarts(tmp_path: Path) -> None:
    plain = reference(range(40))
    with opened(tmp_path) as gallery:
        fill(gallery, range(40))
        gallery.compact()
        gallery.delete_product("p3")
        plain.delete_product("p3")
        fill(gallery, range(50, 53))
        gallery.compact()
        assert (gallery.stats().index_kind, *held_rows(gallery)) == (GRAPH, 430, 0, 10)
    for product in range(50, 53):
        plain.put(f"p{product}", f"product {product}")
        for n in range(10):
            plain.add(f"p{product}", (product, n), vectors_of((product, n), 1, DIMENSION))
    for product in (50, 4):
        with opened(tmp_path) as gallery:
            check(gallery, plain)
            # Mapped now: it grows from a copy.
            gallery.delete_product(f"p{product}")
            plain.delete_product(f"p{product}")
            fill(gallery, range(product + 50, product + 51))
            gallery.compact()
            plain.put(f"p{product + 50}", f"product {product + 50}")
            for n in range(10):
                content = (product + 50, n)
                plain.add(f"p{product + 50}", content, vectors_of(content, 1, DIMENSION))
            check(gallery, plain)
            assert gallery.stats().index_kind == GRAPH


def test_a_worn_graph_is_built_anew_and_a_small_gallery_is_exact_again(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery, range(60))
        gallery.compact()
        for product in range(30):
            gallery.delete_product(f"p{product}")
        gallery.compact()
        assert (gallery.stats().index_kind, *held_rows(gallery)) == (GRAPH, 300, 0, 0)
        for product in range(30, 45):
            gallery.delete_product(f"p{product}")
        gallery.compact()
        assert (gallery.stats().index_kind, *held_rows(gallery)) == (FLAT, 150, 0, 0)
        check(gallery, reference(range(45, 60)), least=1.0)


def test_a_few_pending_rows_of_a_graph_come_back_by_replay(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery, range(40))
        gallery.compact()
        fill(gallery, range(40, 42))
        gallery.delete_product("p0")
        gallery.snapshot()
        assert held_rows(gallery)[1] == 20
    with opened(tmp_path) as gallery:
        assert held_rows(gallery) == (400, 20, 10)
        check(gallery, reference(range(1, 42)))


def test_a_graph_that_finds_too_little_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folding, "LEAST_RECALL", 1.01)
    with caplog.at_level(logging.WARNING), opened(tmp_path) as gallery:
        fill(gallery, range(40))
        gallery.compact()
        assert "of what exact search does and is not used" in caplog.text
        assert gallery.stats().index_kind == FLAT
        check(gallery, reference(range(40)), least=1.0)
        caplog.clear()
        fill(gallery, range(40, 45))
        gallery.compact()
        assert not caplog.records
    with opened(tmp_path) as gallery:
        check(gallery, reference(range(45)), least=1.0)


@pytest.mark.parametrize("name", ["base.faiss", "rows.npy", "manifest.json"])
def test_a_damaged_graph_is_made_again_behind_exact_answers(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery, range(40))
        gallery.compact()
    for path in (tmp_path / "index").glob(f"*/{name}"):
        flip_byte(path, path.stat().st_size // 2)
    with opened(tmp_path) as gallery:
        assert gallery.stats().index_kind == FLAT
        check(gallery, reference(range(40)), least=1.0)
    monkeypatch.setattr(index, "QUIET_SECONDS", 0.0)
    with opened(tmp_path) as gallery:
        until(lambda: gallery.stats().index_kind == GRAPH)
        check(gallery, reference(range(40)))


def test_without_its_snapshot_a_mapped_graph_is_built_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery, range(40))
        gallery.compact()
    with opened(tmp_path) as gallery:
        shutil.rmtree(tmp_path / "index")
        fill(gallery, range(40, 44))
        gallery.compact()
        assert gallery.stats().index_kind == GRAPH
        check(gallery, reference(range(44)))


def test_closing_does_not_wait_for_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "QUIET_SECONDS", 0.0)
    started, closing = threading.Event(), threading.Event()
    add = BaseBuilder._grow

    def slowly(builder: BaseBuilder, vectors: NDArray[np.float16]) -> None:
        started.set()
        assert closing.wait(30)
        add(builder, vectors)

    monkeypatch.setattr(BaseBuilder, "_grow", slowly)
    gallery = opened(tmp_path)
    fill(gallery, range(30))
    assert started.wait(30)
    check(gallery, reference(range(30)), least=1.0)
    assert gallery.stats().index_state == "compacting"
    gallery._index._stop.set()
    closing.set()
    gallery.close()
    with opened(tmp_path, graph_from=10**6) as gallery:
        check(gallery, reference(range(30)), least=1.0)


def test_while_rows_stream_in_an_exact_base_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph under way is given up when more comes than it could take up."""
    monkeypatch.setattr(index, "QUIET_SECONDS", 0.0)
    started, flooded = threading.Event(), threading.Event()
    grow = BaseBuilder._grow

    def slowly(builder: BaseBuilder, vectors: NDArray[np.float16]) -> None:
        started.set()
        assert flooded.wait(30)
        grow(builder, vectors)

    monkeypatch.setattr(BaseBuilder, "_grow", slowly)
    kinds = []
    with opened(tmp_path, compact_at=10) as gallery:
        fill(gallery, range(21))
        assert started.wait(30)
        fill(gallery, range(21, 60))
        monkeypatch.setattr(Folding, "_good", lambda *_: kinds.append(GRAPH) or True)
        flooded.set()
        until(lambda: gallery.stats().index_kind == GRAPH and held_rows(gallery)[1] <= 10)
        check(gallery, reference(range(60)))
        # The first was given up: only the one that holds all rows was finished.
        assert held_rows(gallery)[0] >= 590
        assert kinds == [GRAPH]
