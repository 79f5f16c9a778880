"""What any backend of the gallery must do: derive a test class and give it `open_gallery`.

    class TestMine(GalleryContract):
        @pytest.fixture
        def open_gallery(self, tmp_path): return lambda: MyGallery(tmp_path, dimension=DIMENSION)

Each call of `open_gallery` opens the same, at first empty, gallery; what was open has been closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gallery import (
    ANY_VERSION,
    And,
    Author,
    Filter,
    GalleryClosed,
    GalleryProtocol,
    HistoryForgotten,
    In,
    InvalidValue,
    InvalidVector,
    Not,
    SearchedSize,
    UnknownImage,
    UnknownProduct,
    VersionConflict,
    authored,
    listing,
)
from tests.gallery.reference import Reference
from tests.gallery.samples import DIMENSION, JPEG, bits, digest, new_image, vectors_of

OpenGallery = Callable[[], GalleryProtocol]


class GalleryContract:
    @pytest.fixture
    def open_gallery(self) -> OpenGallery:
        raise NotImplementedError

    @pytest.fixture
    def gallery(self, open_gallery: OpenGallery) -> Iterator[GalleryProtocol]:
        opened = open_gallery()
        yield opened
        opened.close()

    def fill(self, gallery: GalleryProtocol, products: int = 6, images: int = 5) -> Reference:
        plain = Reference()
        for number in range(products):
            name = f"p{number}"
            gallery.put_product(name, name, {"even": number % 2 == 0, "number": number})
            plain.put(name, name)
            contents = [(number, n) for n in range(images)]
            gallery.add_images(name, [new_image(content) for content in contents])
            for content in contents:
                plain.add(name, content, vectors_of(content))
        return plain

    def counts(self, gallery: GalleryProtocol) -> tuple[int, ...]:
        stats = gallery.stats()
        return stats.products, stats.images, stats.vectors, stats.revision

    def check(
        self, gallery: GalleryProtocol, plain: Reference, among: set[str] | None = None, **where
    ) -> None:
        queries = vectors_of("queries", 8)
        answers = gallery.search(queries, 3, **where).candidates
        for query, candidates in zip(queries, answers, strict=True):
            expected = plain.search(query, 3, among)
            assert [c.product_id for c in candidates] == [e[0] for e in expected]
            for candidate, entry in zip(candidates, expected, strict=True):
                assert candidate.score == pytest.approx(entry[3], abs=1e-5)
                image = gallery.get_image(candidate.image_id)
                assert image.product_id == candidate.product_id == candidate.name
                assert image.content_sha256 == digest(entry[2])

    def test_upsert_and_get(self, gallery: GalleryProtocol) -> None:
        created, is_new = gallery.put_product("p/1 ü", "P", {"a": [1, None, {"b": True}]})
        assert is_new
        assert gallery.get_product("p/1 ü") == created
        assert created.metadata == {"a": [1, None, {"b": True}]}
        added = gallery.add_images("p/1 ü", [new_image("a"), new_image("b"), new_image("a")])
        assert [entry.duplicate for entry in added] == [False, False, True]
        replaced, is_new = gallery.put_product("p/1 ü", "Q", {})
        assert not is_new
        assert (replaced.name, replaced.metadata, replaced.image_count) == ("Q", {}, 2)
        assert replaced.version > created.version
        assert [image.id for image in gallery.list_images("p/1 ü")] == [e.id for e in added[:2]]
        assert gallery.get_image(added[1].id).content_sha256 == digest("b")
        assert gallery.get_thumbnail(added[1].id) == JPEG

    def test_search_with_and_without_a_filter(self, gallery: GalleryProtocol) -> None:
        plain = self.fill(gallery)
        self.check(gallery, plain)
        self.check(gallery, plain, {"p0", "p2", "p4"}, where=In("even", (True,)))
        self.check(
            gallery,
            plain,
            {"p1", "p5"},
            where=And((In("number", (0, 1, 5)), Not(In("even", (True,))))),
        )
        self.check(gallery, plain, set(), where=In("number", ("1",)))
        query = vectors_of("queries")[:1]
        assert gallery.search(query, 1).size == SearchedSize(6, 30)
        assert gallery.search(query, 1, In("number", (0, 1, 5, 8))).size == SearchedSize(3, 15)
        assert gallery.search(query, 1, In("number", ("1",))).size == SearchedSize(0, 0)
        gallery.delete_image(gallery.list_images("p1")[0].id)
        assert gallery.search(query, 1).size == SearchedSize(6, 29)
        assert gallery.search(query, 1, In("number", (0, 1))).size.images == 9
        assert gallery.search(np.empty((0, DIMENSION), dtype=np.float32), 1).candidates == []

    def test_products_without_images_are_not_searched(self, gallery: GalleryProtocol) -> None:
        def size(where: Filter | None = None) -> tuple[int, int]:
            found = gallery.search(vectors_of("query"), 1, where).size
            return found.products, found.images

        gallery.put_product("bare", "B", {})
        assert size() == size(And(())) == (0, 0)
        self.fill(gallery, products=2, images=2)
        assert size() == size(And(())) == (2, 4)
        first, second = gallery.list_images("p0")
        gallery.delete_image(first.id)
        assert size() == size(And(())) == (2, 3)
        gallery.delete_image(second.id)
        assert size() == size(And(())) == (1, 2)
        gallery.add_images("p0", [new_image("again"), new_image("and again")])
        gallery.add_images("p0", [new_image("once more")])
        assert size() == size(And(())) == (2, 5)
        gallery.put_product("p1", "renamed", {})
        gallery.delete_product("p0")
        gallery.delete_product("bare")
        assert size() == size(And(())) == (1, 2)

    def test_products_lean_however_few_vectors_are_kept(
        self, gallery: GalleryProtocol, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gallery.leaning._KEPT_ROWS", 7)
        self.check(gallery, self.fill(gallery))

    def test_scenes_are_not_compared_with_each_other(self, gallery: GalleryProtocol) -> None:
        """One camera: the wholes of all photographs look alike, whatever lies there."""
        place, one, other, alone = bits(0), bits(1), bits(2), bits(3)
        for name in ("one", "other", "bare"):
            gallery.put_product(name, name, {"round": name == "one"})
        gallery.add_images("one", [new_image("1", [place, one])])
        gallery.add_images("other", [new_image("2", [place, other])])
        gallery.add_images("bare", [new_image("3", [alone])])

        def scores(query: np.ndarray, scene: bool, where: Filter | None = None) -> dict[str, float]:
            (found,) = gallery.search(query[None], 3, where, np.array([scene])).candidates
            return {c.product_id: round(c.score, 3) for c in found}

        assert scores(place, scene=False) == {"one": 1, "other": 1, "bare": 0}
        assert scores(place, scene=True) == {"one": 0, "other": 0, "bare": 0}
        assert scores(one, scene=True) == {"one": 1, "other": 0, "bare": 0}
        # The whole of a photograph that shows no body is all there is of it.
        assert scores(alone, scene=True) == {"one": 0, "other": 0, "bare": 1}
        assert scores(place, scene=True, where=In("round", (True,))) == {"one": 0}
        both = gallery.search(np.stack([place, place]), 1, scenes=np.array([True, False]))
        assert [row[0].score for row in both.candidates] == pytest.approx([0, 1], abs=1e-3)
        # Another name does not make it another photograph.
        gallery.put_product("one", "renamed", {})
        assert scores(place, scene=True)["one"] == 0
        assert scores(place, scene=False)["one"] == 1

    def test_delete(self, gallery: GalleryProtocol) -> None:
        plain = self.fill(gallery)
        image = gallery.list_images("p1")[2]
        gallery.delete_image(image.id)
        plain.delete("p1", (1, 2))
        gallery.delete_product("p4")
        plain.delete_product("p4")
        self.check(gallery, plain)
        for call in (gallery.get_image, gallery.get_thumbnail, gallery.delete_image):
            with pytest.raises(UnknownImage):
                call(image.id)
        for ask in (gallery.get_product, gallery.list_images, gallery.delete_product):
            with pytest.raises(UnknownProduct):
                ask("p4")
        gallery.put_product("p4", "again", {})
        assert gallery.list_images("p4") == []

    def test_counts_pages_and_contents(self, gallery: GalleryProtocol) -> None:
        self.fill(gallery)
        stats = gallery.stats()
        assert (stats.products, stats.images, stats.vectors) == (6, 30, 30)
        products, cursor = gallery.list_products(None, 4)
        rest, end = gallery.list_products(cursor, 4)
        assert [p.id for p in products + rest] == [f"p{number}" for number in range(6)]
        assert end is None
        even = In("even", (True,))
        page, cursor = gallery.list_products(None, 2, where=even)
        rest, end = gallery.list_products(cursor, 2, where=even)
        assert [[p.id for p in page], [p.id for p in rest], end] == [["p0", "p2"], ["p4"], None]
        assert gallery.list_products(None, 2, where=And((even, Not(even)))) == ([], None)
        with gallery.contents() as contents:
            seen = list(contents.references())
        assert [reference.image.content_sha256 for reference in seen] == [
            digest((number, n)) for number in range(6) for n in range(5)
        ]
        assert {reference.thumbnail for reference in seen} == {JPEG}

    def test_products_are_found_by_text(
        self, gallery: GalleryProtocol, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listing, "_AT_ONCE", 3)  # they are looked at in several parts
        for number in range(8):
            gallery.put_product(f"40{number}", f"Jar {number}", {"shelf": number % 2})
        gallery.put_product("80-Äpfel", "Straße 100% \\_", {"shelf": 1})
        # As Macs compose it.
        gallery.put_product("90", "Ju\u0308rgens CAFE\u0301", {})
        # With what parts two letters unseen, as Persian is written.
        gallery.put_product("91", "\u0645\u06cc\u200c\u062e\u0648\u0631\u0645", {})

        def found(text: str, where: Filter | None = None) -> list[str]:
            ids, cursor = [], None
            while True:
                page, cursor = gallery.list_products(cursor, 2, text=text, where=where)
                ids += [product.id for product in page]
                if cursor is None:
                    return ids
                assert len(page) == 2

        assert found("jAR") == [f"40{number}" for number in range(8)]
        assert found("jar", In("shelf", (1,))) == ["401", "403", "405", "407"]
        assert found("05") == ["405"]
        assert found("äPFEL") == found("STRASSE") == found("100% \\_") == ["80-Äpfel"]
        assert found("jürgens café") == ["90"]
        assert (
            found("\u0645\u06cc\u062e\u0648\u0631\u0645") == found("\u06cc\u200c\u062e") == ["91"]
        )
        assert found("%") == ["80-Äpfel"]
        assert found("40 jar") == found("a\nb") == []
        assert len(found("")) == 11

    def test_what_is_the_same_already_is_no_change(self, gallery: GalleryProtocol) -> None:
        first, _ = gallery.put_product("p", "P", {"price": 1.5})
        before = gallery.stats().revision
        assert gallery.put_product("p", "P", {"price": 1.5}) == (first, False)
        again = gallery.put_product("p", "P", {"price": 1.5}, expected_version=first.version)
        assert again == (first, False)
        with pytest.raises(VersionConflict):
            gallery.put_product("p", "P", {"price": 1.5}, expected_version=0)
        assert gallery.stats().revision == before
        assert len(gallery.history(None, 9)[0]) == len(gallery.changes(0, 9)) == 1
        changed, _ = gallery.put_product("p", "P", {"price": 1.6})
        assert (changed.version, changed.metadata) == (before + 1, {"price": 1.6})

    def test_versions_and_history(self, gallery: GalleryProtocol) -> None:
        with pytest.raises(UnknownProduct):
            gallery.put_product("p", "P", {}, expected_version=ANY_VERSION)
        gallery.put_product("p", "P", {}, expected_version=0)
        gallery.add_images("p", [new_image("a")])
        version = gallery.get_product("p").version
        with pytest.raises(VersionConflict):
            gallery.put_product("p", "Q", {}, expected_version=version + 1)
        with pytest.raises(VersionConflict):
            gallery.delete_product("p", expected_version=version + 1)
        gallery.delete_product("p", expected_version=version)
        kinds = [change.kind for change in gallery.changes(0, 100)]
        assert kinds == ["put product", "add image", "delete product"]
        revision = gallery.stats().revision
        assert gallery.changes(revision, 100) == []
        with pytest.raises(HistoryForgotten, match=rf"revision {revision + 1} .* is at {revision}"):
            gallery.changes(revision + 1, 100)
        assert [change.sequence for change in gallery.changes(1, 1)] == [2]
        with authored(Author("office", "r1")):
            gallery.put_product("audited", "A", {})
        ((entry,), older) = gallery.history(None, 1)
        assert (entry.author, entry.request_id) == ("office", "r1")
        assert (entry.before, entry.after) == (None, {"name": "A", "metadata": {}, "images": 0})
        assert older is not None
        assert gallery.history(None, 9, product_id="audited", author="office")[0] == [entry]
        assert entry not in gallery.history(older, 100)[0]
        with pytest.raises(InvalidValue):
            gallery.changes(-1, 1)

    def test_a_call_that_raises_changes_nothing(self, gallery: GalleryProtocol) -> None:
        self.fill(gallery, products=1)
        before = self.counts(gallery)
        with pytest.raises(InvalidVector):
            gallery.add_images("p0", [new_image("x"), new_image("y", np.zeros((1, DIMENSION)))])
        with pytest.raises(UnknownProduct):
            gallery.add_images("nobody", [new_image("x")])
        with pytest.raises(InvalidValue):
            gallery.put_product("", "P", {})
        with pytest.raises(InvalidVector):
            gallery.search(np.full((1, DIMENSION), np.nan, dtype=np.float32), 1)
        with pytest.raises(InvalidValue):
            gallery.search(bits(0)[None], 0)
        assert self.counts(gallery) == before

    def test_flush_rebuild_and_reopen(self, open_gallery: OpenGallery) -> None:
        gallery = open_gallery()
        plain = self.fill(gallery)
        revision = gallery.stats().revision
        for keep in (gallery.snapshot, gallery.rebuild):
            keep()
            self.check(gallery, plain)
        assert gallery.stats().revision == revision
        gallery.delete_product("p0")
        plain.delete_product("p0")
        for _ in range(2):
            gallery.close()
            with pytest.raises(GalleryClosed):
                gallery.stats()
            gallery.close()
            gallery = open_gallery()
            self.check(gallery, plain)
            assert gallery.consistent()
        gallery.close()

    def test_many_threads(self, gallery: GalleryProtocol) -> None:
        def enrol(number: int) -> None:
            name = f"p{number}"
            gallery.put_product(name, name, {"number": number})
            for n in range(10):
                (added,) = gallery.add_images(name, [new_image((number, n))])
                query = vectors_of((number, n))
                best = gallery.search(query, 1, In("number", (number,))).candidates[0][0]
                assert best.image_id == added.id
                if n % 3 == 0:
                    gallery.delete_image(added.id)
                    again = gallery.search(query, 1).candidates
                    assert all(c.image_id != added.id for row in again for c in row)

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(enrol, range(6)))
        assert gallery.stats().images == 36
        assert gallery.consistent()
