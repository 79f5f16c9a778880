"""Searches beside a writer, compactions and rebuilds: each answer is that of one revision."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gallery import Gallery, SearchResult
from tests.gallery.reference import Reference
from tests.gallery.samples import held_rows, new_image, opened, vectors_of

CHANGES = 150
QUERIES = vectors_of("queries", 4)
Answers = list[list[tuple[str, object, float]]]


class Writer:
    """Makes known changes and remembers what is right at each revision."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.rng = np.random.default_rng(1)
        self.reference = Reference()
        self.right: dict[int, Answers] = {0: [[] for _ in QUERIES]}
        self.contents: dict[str, object] = {}

    def remember(self) -> None:
        self.right[self.gallery.stats().revision] = [
            [(product, content, score) for product, _, content, score in found]
            for found in (self.reference.search(query, 4) for query in QUERIES)
        ]

    def add(self, product: str, contents: list[object]) -> None:
        added = self.gallery.add_images(product, [new_image(content) for content in contents])
        for entry, content in zip(added, contents, strict=True):
            self.reference.add(product, content, vectors_of(content))
            self.contents[entry.id] = content

    def change(self, serial: int) -> None:
        product = f"p{self.rng.integers(12)}"
        if product not in self.reference.names:
            self.gallery.put_product(product, product, {})
            self.reference.put(product, product)
        elif serial % 23 == 0:
            self.gallery.delete_product(product)
            self.reference.delete_product(product)
        elif serial % 3 == 0 and (images := self.gallery.list_images(product)):
            image = images[int(self.rng.integers(len(images)))]
            self.gallery.delete_image(image.id)
            self.reference.delete(product, self.contents[image.id])
        else:
            self.add(product, [(serial, n) for n in range(int(self.rng.integers(1, 6)))])
        self.remember()


def check(result: SearchResult, writer: Writer) -> None:
    for candidates, right in zip(result.candidates, writer.right[result.revision], strict=True):
        got = [(c.product_id, writer.contents[c.image_id]) for c in candidates]
        assert got == [(product, content) for product, content, _ in right]
        assert [c.score for c in candidates] == pytest.approx([each[2] for each in right], abs=3e-6)


def test_no_row_is_wrong_or_missing_while_it_changes(tmp_path: Path) -> None:
    with opened(tmp_path, compact_at=25) as gallery:
        writer = Writer(gallery)
        done = threading.Event()

        def search() -> list[SearchResult]:
            results = []
            while not done.is_set():
                results.append(gallery.search(QUERIES, 4))
            return results

        def rebuild() -> None:
            while not done.wait(0.05):
                gallery.rebuild()
                assert gallery.consistent()

        with ThreadPoolExecutor(4) as threads:
            searches = [threads.submit(search) for _ in range(3)]
            rebuilds = threads.submit(rebuild)
            try:
                for serial in range(CHANGES):
                    writer.change(serial)
                    check(gallery.search(QUERIES, 4), writer)
            finally:
                done.set()
            rebuilds.result()
            results = [result for search in searches for result in search.result()]
        assert len({result.revision for result in results}) > 20
        for result in results:
            check(result, writer)
        assert gallery.consistent()
        assert held_rows(gallery)[0] > 0


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, compact_at=20) as gallery:

        def nearest(content: object) -> str:
            found = gallery.search(vectors_of(content), 6).candidates[0]
            return max(found, key=lambda candidate: candidate.likeness).image_id

        def enrol(number: int) -> list[str]:
            gallery.put_product(f"p{number}", "P", {})
            ids = []
            for n in range(15):
                content = (number, n)
                ids.append(gallery.add_images(f"p{number}", [new_image(content)])[0].id)
                assert nearest(content) == ids[-1]
            gallery.delete_image(ids[0])
            assert nearest((number, 0)) != ids[0]
            return ids[1:]

        with ThreadPoolExecutor(6) as threads:
            ids = list(threads.map(enrol, range(6)))
        for number in range(6):
            assert [image.id for image in gallery.list_images(f"p{number}")] == ids[number]
        stats = gallery.stats()
        assert (stats.images, stats.revision) == (6 * 14, 6 * 17)
        assert gallery.consistent()
