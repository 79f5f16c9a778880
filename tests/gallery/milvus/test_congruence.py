"""Whatever is done to both galleries, in whatever order, they answer alike and as a dict would."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bench.milvus_server import MilvusServer
from gallery import (
    And,
    Filter,
    GalleryError,
    GalleryProtocol,
    In,
    Not,
    VersionConflict,
)
from tests.gallery.milvus import opening
from tests.gallery.reference import Reference
from tests.gallery.samples import digest, new_image, opened

DIMENSION = 4
# Names that an expression could trip over.
products = st.sampled_from(["a", 'b"', "c\\'", "d]\n{ü}"])
vectors = st.lists(
    st.tuples(*[st.integers(-1, 1)] * DIMENSION).filter(any), min_size=1, max_size=2
).map(lambda rows: np.array(rows, dtype=np.float32))
contents = st.integers(0, 5)
values = st.sampled_from([None, True, False, 0, 1, 1.5, "1", "x", "true"])
metadata = st.dictionaries(st.sampled_from(["k", "k[0]"]), values | st.just([1]))
leaves = st.builds(In, st.sampled_from(["k", "k[0]"]), st.lists(values, max_size=3).map(tuple))
filters: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda part: st.builds(Not, part) | st.builds(And, st.lists(part, max_size=2).map(tuple)),
    max_leaves=3,
)


class BothGalleries(RuleBasedStateMachine):
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        opening.emptied(self.url)
        self.here, self.there = self.open_both()
        self.plain = Reference()

    def open_both(self) -> tuple[GalleryProtocol, GalleryProtocol]:
        return (
            opened(self.folder / "here", dimension=DIMENSION),
            opening.opened(self.url, self.folder / "there", DIMENSION),
        )

    def teardown(self) -> None:
        self.here.close()
        self.there.close()
        shutil.rmtree(self.folder)

    def both(self, call: str, *args: object, **named: object) -> list[object]:
        """What both answer; or the kind of error that both raise."""
        answers = []
        for gallery in (self.here, self.there):
            try:
                answers.append(getattr(gallery, call)(*args, **named))
            except GalleryError as error:
                answers.append(type(error))
        return answers

    @rule(product=products, name=st.text("xyz", min_size=1, max_size=2), data=metadata)
    def put(self, product: str, name: str, data: dict[str, object]) -> None:
        here, there = self.both("put_product", product, name, data)
        assert here[1] == there[1] == self.plain.put(product, name)
        assert here[0].version == there[0].version
        assert here[0].image_count == there[0].image_count

    @rule(product=products, behind=st.integers(0, 1))
    def put_at_a_version(self, product: str, behind: int) -> None:
        there = product in self.plain.names
        version = self.there.get_product(product).version if there else 0
        answers = self.both("put_product", product, "v", {}, expected_version=version + behind)
        if behind:
            assert answers == [VersionConflict, VersionConflict]
        else:
            self.plain.put(product, "v")

    @rule(product=products, images=st.lists(st.tuples(contents, vectors), min_size=1, max_size=3))
    def add(self, product: str, images: list[tuple[int, np.ndarray]]) -> None:
        here, there = self.both("add_images", product, [new_image(*image) for image in images])
        if product not in self.plain.names:
            assert here is there is not None
            return
        for one, other, (content, rows) in zip(here, there, images, strict=True):
            fresh = self.plain.add(product, content, rows)
            assert one.duplicate == other.duplicate == (not fresh)

    @rule(product=products, content=contents)
    def delete_image(self, product: str, content: int) -> None:
        if content in self.plain.images.get(product, {}):
            for gallery in (self.here, self.there):
                (found,) = (
                    image.id
                    for image in gallery.list_images(product)
                    if image.content_sha256 == digest(content)
                )
                gallery.delete_image(found)
            self.plain.delete(product, content)

    @rule(product=products)
    def delete_product(self, product: str) -> None:
        here, there = self.both("delete_product", product)
        assert here == there
        if here is None:
            self.plain.delete_product(product)

    @rule(queries=vectors, k=st.integers(1, 4), scene=st.booleans())
    def search(self, queries: np.ndarray, k: int, scene: bool) -> None:
        scenes = np.full(len(queries), scene)
        self.compare(queries, k, None, scenes)
        answers = self.there.search(queries, k, scenes=scenes).candidates
        for query, found in zip(queries, answers, strict=True):
            expected = self.plain.search(query, k, scene=scene)
            assert [c.product_id for c in found] == [entry[0] for entry in expected]

    @rule(queries=vectors, where=filters)
    def search_among(self, queries: np.ndarray, where: Filter) -> None:
        self.compare(queries, 3, where)

    def compare(
        self,
        queries: np.ndarray,
        k: int,
        where: Filter | None,
        scenes: np.ndarray | None = None,
    ) -> None:
        here, there = self.both("search", queries, k, where, scenes)
        assert here.revision == there.revision
        for ours, others in zip(here.candidates, there.candidates, strict=True):
            assert [(c.product_id, c.name) for c in ours] == [
                (c.product_id, c.name) for c in others
            ]
            assert [c.metadata for c in ours] == [c.metadata for c in others]
            assert [c.score for c in ours] == pytest.approx([c.score for c in others], abs=1e-6)
            # Equal scores: the image that was added first, in both.
            assert [self.content(self.here, c.image_id) for c in ours] == [
                self.content(self.there, c.image_id) for c in others
            ]

    def content(self, gallery: GalleryProtocol, image_id: str) -> str:
        return gallery.get_image(image_id).content_sha256

    @rule()
    def reopen(self) -> None:
        self.here.close()
        self.there.close()
        self.here, self.there = self.open_both()

    @invariant()
    def they_hold_the_same(self) -> None:
        here, there = self.both("stats")
        for count in ("products", "images", "vectors", "revision"):
            assert getattr(here, count) == getattr(there, count)
        ours, others = self.both("list_products", None, 10)
        assert [(p.id, p.name, p.metadata, p.image_count, p.version) for p in ours[0]] == [
            (p.id, p.name, p.metadata, p.image_count, p.version) for p in others[0]
        ]
        with self.here.contents() as ours, self.there.contents() as others:
            images, same = (
                [(held.image.product_id, held.image.content_sha256) for held in part.references()]
                for part in (ours, others)
            )
        assert images == same

    @rule()
    def their_histories_agree(self) -> None:
        here, there = self.both("changes", 0, 1000)
        assert [(c.sequence, c.kind, c.product_id) for c in here] == [
            (c.sequence, c.kind, c.product_id) for c in there
        ]
        (ours, _), (others, _) = self.both("history", None, 1000)
        assert [(entry.before, entry.after) for entry in ours] == [
            (entry.before, entry.after) for entry in others
        ]


def test_both_galleries_answer_alike(milvus: MilvusServer) -> None:
    machine = type("Both", (BothGalleries,), {"url": f"{milvus.url}/congruence"})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=4,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
