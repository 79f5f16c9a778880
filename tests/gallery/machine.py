"""Whatever is done to a gallery, in whatever order, it answers as a plain dict would.

A backend derives its machine from this one, opens itself, and adds what only it can do.
"""

from __future__ import annotations

import shutil
import tempfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gallery import (
    Candidate,
    Filter,
    GalleryProtocol,
    In,
    Not,
    SearchedSize,
    UnknownProduct,
    VersionConflict,
)
from tests.gallery.reference import Reference
from tests.gallery.samples import new_image

DIMENSION = 3
products = st.sampled_from(["a", "b", "c", "d"])
# Few directions, so that equal vectors and equal scores are common.
vectors = st.lists(
    st.tuples(*[st.integers(-1, 1)] * DIMENSION).filter(any), min_size=1, max_size=2
).map(lambda rows: np.array(rows, dtype=np.float32))
contents = st.integers(0, 7)


class GalleryMachine(RuleBasedStateMachine):
    # How far scores may be from those that the reference adds up in an order of its own: both are
    # rounded to six digits.
    closeness = 1e-6

    def start(self) -> None:
        """Open it, empty."""
        self.folder = Path(tempfile.mkdtemp())
        self.reference = Reference()
        self.metadata: dict[str, str | None] = {}
        self.ids: dict[tuple[str, int], str] = {}
        self.contents: dict[str, int] = {}
        self.gallery = self.opened()
        self.read_all()

    def read_all(self) -> None:
        """As a client does that is to follow the changes."""
        self.revision = self.gallery.stats().revision
        self.versions, self.images = self.held()

    def held(self) -> tuple[dict[str, int], dict[str, set[str]]]:
        """The products' versions and images."""
        listed = self.gallery.list_products(None, 10)[0]
        return (
            {product.id: product.version for product in listed},
            {p.id: {image.id for image in self.gallery.list_images(p.id)} for p in listed},
        )

    def opened(self) -> GalleryProtocol:
        """What has been closed, or an empty gallery in `folder`."""
        raise NotImplementedError

    def teardown(self) -> None:
        if hasattr(self, "gallery"):
            self.gallery.close()
            shutil.rmtree(self.folder)

    @rule(product=products, name=st.text("xyz", min_size=1, max_size=2))
    def put(self, product: str, name: str) -> None:
        revision = self.gallery.stats().revision
        same = self.metadata.get(product) == name  # put_at_a_version leaves none
        stored, created = self.gallery.put_product(product, name, {"name": name})
        assert created == self.reference.put(product, name)
        self.metadata[product] = name
        assert stored.image_count == len(self.reference.images[product])
        assert self.gallery.stats().revision == (revision if same else revision + 1)
        assert same or stored.version == revision + 1

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

    @rule(queries=vectors, k=st.integers(1, 5), scenes=st.tuples(st.booleans(), st.booleans()))
    def search(self, queries: np.ndarray, k: int, scenes: tuple[bool, bool]) -> None:
        flags = np.array(scenes[: len(queries)])
        found = self.gallery.search(queries, k, scenes=flags)
        held = [len(images) for images in self.reference.images.values()]
        assert found.size == SearchedSize(np.count_nonzero(held), sum(held))
        for query, scene, candidates in zip(queries, flags, found.candidates, strict=True):
            self.check(candidates, self.reference.search(query, k, scene=bool(scene)))

    @rule(
        query=vectors,
        names=st.sets(st.sampled_from("xyz")),
        others=st.booleans(),
        scene=st.booleans(),
    )
    def search_among(self, query: np.ndarray, names: set[str], others: bool, scene: bool) -> None:
        """`put` keeps the name in the metadata, `put_at_a_version` keeps none."""
        where: Filter = In("name", tuple(names))
        among = {p for p, name in self.metadata.items() if name in names}
        if others:
            where, among = Not(where), set(self.reference.names) - among
        (candidates,) = self.gallery.search(query[:1], 3, where, np.array([scene])).candidates
        self.check(candidates, self.reference.search(query[0], 3, among, scene=scene))

    def check(
        self, candidates: list[Candidate], expected: list[tuple[str, str, object, float]]
    ) -> None:
        got = [(c.product_id, c.name, self.contents[c.image_id]) for c in candidates]
        assert got == [entry[:3] for entry in expected]
        scores = [entry[3] for entry in expected]
        assert [c.score for c in candidates] == pytest.approx(scores, rel=0, abs=self.closeness)

    @rule()
    def reopen(self) -> None:
        self.gallery.close()
        self.gallery = self.opened()

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
        versions, images = dict(self.versions), deepcopy(self.images)
        for change in self.gallery.changes(self.revision, 10**6):
            versions[change.product_id] = change.sequence
            held = images.setdefault(change.product_id, set())
            if change.kind == "delete product":
                del versions[change.product_id], images[change.product_id]
            elif change.kind == "add image":
                held.add(change.image_id)
            elif change.kind == "delete image":
                held.remove(change.image_id)
        assert (versions, images) == self.held()
