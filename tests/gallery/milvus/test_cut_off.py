"""A change that is cut off: whoever looks next finds all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.milvus_server import MilvusServer
from gallery import GalleryUnavailable, In, Not, UnknownProduct
from gallery.milvus import MilvusGallery, writer
from gallery.milvus.connection import Connection
from gallery.milvus.schema import CHANGES, PRODUCTS, REFERENCES
from tests.gallery.milvus.opening import emptied, opened
from tests.gallery.samples import new_image, vectors_of

Open = Callable[[], MilvusGallery]


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here whoever was cut off does not go on."""
    monkeypatch.setattr(writer, "_CUT_OFF_SECONDS", 0)


@pytest.fixture
def open_gallery(tmp_path: Path, milvus: MilvusServer) -> Open:
    url = emptied(f"{milvus.url}/contract")
    return lambda: opened(url, tmp_path)


@pytest.fixture
def gallery(open_gallery: Open) -> Iterator[MilvusGallery]:
    with open_gallery() as opened_gallery:
        opened_gallery.put_product("p", "P", {"shelf": 1})
        opened_gallery.add_images("p", [new_image("a"), new_image("b")])
        yield opened_gallery


@contextmanager
def cut_off(monkeypatch: pytest.MonkeyPatch, write: str, collection: str) -> Iterator[None]:
    """The server goes away at the first write of a kind to a collection."""
    real = getattr(Connection, write)

    def away(connection: Connection, kind: str, *args: object) -> None:
        if kind == collection and args[-1]:
            raise GalleryUnavailable
        real(connection, kind, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, write, away)
        yield


def names(gallery: MilvusGallery) -> set[str]:
    """What searches say the product is called."""
    queries = vectors_of("a")
    return {candidate.name for row in gallery.search(queries, 5).candidates for candidate in row}


def test_cut_off_before_the_log_it_was_never_made(
    gallery: MilvusGallery, open_gallery: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gallery.stats()
    with cut_off(monkeypatch, "insert", CHANGES):
        with pytest.raises(GalleryUnavailable):
            gallery.delete_product("p")
        with pytest.raises(GalleryUnavailable):
            gallery.add_images("p", [new_image("c")])
        with pytest.raises(GalleryUnavailable):
            gallery.put_product("p", "Q", {"shelf": 2})
    with open_gallery() as other:
        for reader in (gallery, other):
            assert reader.stats() == before
            assert names(reader) == {"P"}
            assert len(reader.list_images("p")) == 2
    # What is left of it goes when somebody asks whether all is well, or with the next change.
    assert gallery._connection.count(REFERENCES, level="Strong") > 2
    assert gallery.consistent()
    assert gallery._connection.count(REFERENCES, level="Strong") == 2
    assert gallery.put_product("q", "Q", {})[0].version == before.revision + 1


@pytest.mark.parametrize("write", ["upsert", "delete"])
def test_cut_off_after_the_log_it_is_completed(
    gallery: MilvusGallery, open_gallery: Open, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    with (
        cut_off(monkeypatch, write, PRODUCTS if write == "upsert" else REFERENCES),
        pytest.raises(GalleryUnavailable),
    ):
        gallery.put_product("p", "Q", {"shelf": 2})
    with open_gallery() as other:
        other.put_product("q", "other", {})
        assert other.get_product("p").name == "Q"
        assert names(other) == {"Q"}
        assert [change.kind for change in other.changes(2, 10)] == ["put product", "put product"]
        assert other._connection.count(REFERENCES, level="Strong") == 2
    # The first one notices that another has written.
    gallery.delete_product("p")
    assert gallery.stats().revision == 5
    assert gallery._connection.count(REFERENCES, level="Strong") == 0


def test_a_deletion_cut_off_is_completed(
    gallery: MilvusGallery, open_gallery: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = gallery.list_images("p")[0]
    with cut_off(monkeypatch, "delete", REFERENCES), pytest.raises(GalleryUnavailable):
        gallery.delete_image(image.id)
    with cut_off(monkeypatch, "delete", PRODUCTS), pytest.raises(GalleryUnavailable):
        gallery.delete_product("p")
    with open_gallery() as other:
        other.put_product("q", "Q", {})
        with pytest.raises(UnknownProduct):
            other.get_product("p")
        assert other._connection.count(REFERENCES, level="Strong") == 0
        assert (other.stats().products, other.stats().images, other.stats().vectors) == (1, 0, 0)


def test_two_that_write_in_turn_see_each_other(gallery: MilvusGallery, open_gallery: Open) -> None:
    with open_gallery() as other:
        for number in range(3):
            other.put_product(f"o{number}", "O", {})
            gallery.put_product(f"g{number}", "G", {})
        assert gallery.stats().products == 7
        with other.contents() as held:
            assert held.product_count == len(list(held.products())) == 7
        assert len(gallery.changes(0, 100)) == 9


def test_a_product_with_many_references_hides_no_other(gallery: MilvusGallery) -> None:
    for start in range(0, 300, 100):
        gallery.add_images(
            "p", [new_image(n, vectors_of("near")) for n in range(start, start + 100)]
        )
    gallery.put_product("far", "Far", {})
    gallery.add_images("far", [new_image("far", -vectors_of("near"))])
    (found,) = gallery.search(vectors_of("near"), 5).candidates
    assert [candidate.product_id for candidate in found] == ["p", "far"]


def test_references_of_a_change_that_was_cut_off_hide_no_others(
    gallery: MilvusGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = vectors_of("near")
    gallery.put_product("far", "Far", {})
    (far,) = gallery.add_images("far", [new_image("far", -near)])
    with cut_off(monkeypatch, "insert", CHANGES), pytest.raises(GalleryUnavailable):
        gallery.add_images("p", [new_image(n, near) for n in range(100)])
    shown = {image.id for image in gallery.list_images("p")}
    for where in (None, Not(In("shelf", (2,)))):
        (found,) = gallery.search(near, 5, where).candidates
        assert [candidate.product_id for candidate in found] == ["p", "far"]
        assert found[0].image_id in shown
        assert found[1].image_id == far.id


def test_a_server_that_passes_over_filters_is_not_asked_for_ever(
    gallery: MilvusGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = vectors_of("near")
    gallery.add_images("p", [new_image(n, near) for n in range(100)])
    real = Connection.search

    def unfiltered(connection: Connection, *args: object, **named: object) -> object:
        kind, queries, limit, _, fields = args
        return real(connection, kind, queries, limit, "", fields, **named)

    monkeypatch.setattr(Connection, "search", unfiltered)
    (found,) = gallery.search(near, 5).candidates
    assert [candidate.product_id for candidate in found] == ["p"]


def test_pictures_go_with_the_last_image_that_shows_them(
    gallery: MilvusGallery, tmp_path: Path
) -> None:
    first, second = gallery.list_images("p")
    gallery.delete_image(first.id)
    assert gallery.get_thumbnail(second.id)
    gallery.delete_image(second.id)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
