"""Whatever is done to the gallery, in whatever order, it answers as a plain dict would."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gallery import Filter, Gallery, In, Not, UnknownProduct, VersionConflict, restore
from tests.gallery.reference import Reference
from tests.gallery.samples import flip_byte, index_files, new_image, opened

DIMENSION = 3
products = st.sampled_from(["a", "b", "c", "d"])
# Few directions, so that equal vectors and equal scores are common.
vectors = st.lists(
    st.tuples(*[st.integers(-1, 1)] * DIMENSION).filter(any), min_size=1, max_size=2
).map(lambda rows: np.array(rows, dtype=np.float32))
contents = st.integers(0, 7)


class GalleryMachine(RuleBasedStateMachine):
    @initialize(graph_from=st.sampled_from([6, 10**6]))
    def start(self, graph_from: int) -> None:
        self.graph_from = graph_from
        self.folder = Path(tempfile.mkdtemp())
        self.reference = Reference()
        self.metadata: dict[str, str | None] = {}
        self.ids: dict[tuple[str, int], str] = {}
        self.contents: dict[str, int] = {}
        self.gallery = self.opened()

    def opened(self) -> Gallery:
        return opened(self.folder, dimension=DIMENSION, compact_at=5, graph_from=self.graph_from)

    def teardown(self) -> None:
        if hasattr(self, "gallery"):
            self.gallery.close()
            shutil.rmtree(self.folder)

    @rule(product=products, name=st.text("xyz", min_size=1, max_size=2))
    def put(self, product: str, name: str) -> None:
        stored, created = self.gallery.put_product(product, name, {"name": name})
        assert created == self.reference.put(product, name)
        self.metadata[product] = name
        assert stored.image_count == len(self.reference.images[product])
        assert stored.version == self.gallery.stats().revision

    @rule(product=products, behind=st.integers(0, 1))
    def put_at_a_version(self, product: str, behind: int) -> None:
        there = product in self.reference.names
        version = self.gallery.get_product(product).version if there else 0
        if behind:
            with pytest.raises(VersionConflict):
                self.gallery.put_product(product, "x", {}, expected_version=version + 1)
        else:
            self.gallery.put_product(product, "x", {}, expected_version=version)
            self.reference.put(product, "x")
            self.metadata[product] = None

    @rule(product=products, images=st.lists(st.tuples(contents, vectors), min_size=1, max_size=4))
    def add(self, product: str, images: list[tuple[int, np.ndarray]]) -> None:
        new = [new_image(content, rows) for content, rows in images]
        if product not in self.reference.names:
            with pytest.raises(UnknownProduct):
                self.gallery.add_images(product, new)
            return
        added = self.gallery.add_images(product, new)
        for entry, (content, rows) in zip(added, images, strict=True):
            fresh = self.reference.add(product, content, rows)
            assert entry.duplicate == (not fresh)
            if fresh:
                assert entry.id not in self.contents
                self.ids[product, content] = entry.id
                self.contents[entry.id] = content
            assert entry.id == self.ids[product, content]

    @rule(product=products, content=contents)
    def delete_image(self, product: str, content: int) -> None:
        if content in self.reference.images.get(product, {}):
            self.gallery.delete_image(self.ids[product, content])
            self.reference.delete(product, content)

    @rule(product=products)
    def delete_product(self, product: str) -> None:
        if product in self.reference.names:
            self.gallery.delete_product(product)
            self.reference.delete_product(product)
            del self.metadata[product]

    @rule(queries=vectors, k=st.integers(1, 5))
    def search(self, queries: np.ndarray, k: int) -> None:
        answers = self.gallery.search(queries, k).candidates
        for query, candidates in zip(queries, answers, strict=True):
            got = [(c.product_id, c.name, self.contents[c.image_id], c.score) for c in candidates]
            assert got == self.reference.search(query, k)

    @rule(query=vectors, names=st.sets(st.sampled_from("xyz")), others=st.booleans())
    def search_among(self, query: np.ndarray, names: set[str], others: bool) -> None:
        """`put` keeps the name in the metadata, `put_at_a_version` keeps none."""
        where: Filter = In("name", tuple(names))
        among = {p for p, name in self.metadata.items() if name in names}
        if others:
            where, among = Not(where), set(self.reference.names) - among
        (candidates,) = self.gallery.search(query[:1], 3, where).candidates
        got = [(c.product_id, c.name, self.contents[c.image_id], c.score) for c in candidates]
        assert got == self.reference.search(query[0], 3, among)

    @rule()
    def reopen(self) -> None:
        self.gallery.close()
        self.gallery = self.opened()

    @rule(damage=st.sampled_from(["flip", "cut", "remove"]), place=st.integers(0, 10**6))
    def damage_the_index(self, damage: str, place: int) -> None:
        self.gallery.close()
        if files := index_files(self.folder):
            path = files[place % len(files)]
            if damage == "flip":
                flip_byte(path, place % path.stat().st_size)
            elif damage == "cut":
                path.write_bytes(path.read_bytes()[:-1])
            else:
                path.unlink()
        self.gallery = self.opened()

    @rule()
    def rebuild(self) -> None:
        self.gallery.rebuild()

    @rule()
    def compact(self) -> None:
        self.gallery.compact()

    @rule()
    def restore_a_backup(self) -> None:
        backup = self.folder.with_suffix(".backup")
        self.gallery.backup(backup)
        self.gallery.put_product("d", "after the backup", {})
        self.gallery.close()
        restore(backup, self.folder)
        backup.unlink()
        self.gallery = self.opened()

    @rule()
    def snapshot(self) -> None:
        self.gallery.snapshot()

    @invariant()
    def holds_what_it_was_given(self) -> None:
        if hasattr(self, "gallery"):
            assert self.gallery.consistent()
            listed = self.gallery.list_products(None, 10)[0]
            assert {product.id: product.name for product in listed} == self.reference.names
            for product in listed:
                held = [self.contents[i.id] for i in self.gallery.list_images(product.id)]
                assert held == list(self.reference.images[product.id])

    @invariant()
    def the_history_leads_to_what_there_is(self) -> None:
        if not hasattr(self, "gallery"):
            return
        versions: dict[str, int] = {}
        images: dict[str, set[str]] = {}
        for change in self.gallery.changes(0, 10**6):
            versions[change.product_id] = change.sequence
            held = images.setdefault(change.product_id, set())
            if change.kind == "delete product":
                del versions[change.product_id], images[change.product_id]
            elif change.kind == "add image":
                held.add(change.image_id)
            elif change.kind == "delete image":
                held.remove(change.image_id)
        listed = self.gallery.list_products(None, 10)[0]
        assert {product.id: product.version for product in listed} == versions
        for product in listed:
            assert {i.id for i in self.gallery.list_images(product.id)} == images[product.id]


TestGalleryMachine = GalleryMachine.TestCase
TestGalleryMachine.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
