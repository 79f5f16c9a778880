from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gallery import (
    AddedImage,
    Candidate,
    Gallery,
    GalleryError,
    InvalidValue,
    InvalidVector,
    UnknownImage,
    UnknownProduct,
)
from tests.gallery.samples import (
    DIMENSION,
    JPEG,
    bits,
    digest,
    new_image,
    opened,
    vectors_of,
)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with opened(tmp_path / "g") as opened_gallery:
        yield opened_gallery


def along(axis: int, content: object = None) -> object:
    return new_image(content if content is not None else f"axis {axis}", [bits(axis)])


def found(gallery: Gallery, axis: int, k: int = 5) -> list[Candidate]:
    return gallery.search(bits(axis)[None], k).candidates[0]


def test_a_product_is_created_and_then_replaced(gallery: Gallery) -> None:
    before = datetime.now(UTC)
    metadata = {"price": 1.5, "tags": ["a", None, {"ü": True}]}
    created, is_new = gallery.put_product("4006381333931", "Tea", metadata)
    assert is_new
    assert (created.id, created.name, created.image_count) == ("4006381333931", "Tea", 0)
    assert created.metadata == metadata
    assert before <= created.created_at == created.updated_at <= datetime.now(UTC)
    gallery.add_images(created.id, [along(0)])
    replaced, is_new = gallery.put_product(created.id, "Green tea", {})
    assert not is_new
    assert (replaced.name, replaced.metadata, replaced.image_count) == ("Green tea", {}, 1)
    assert replaced.created_at == created.created_at < replaced.updated_at
    assert gallery.get_product(created.id) == replaced
    assert found(gallery, 0)[0].name == "Green tea"


def test_images_are_added_in_order_and_found(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {"shelf": 7})
    added = gallery.add_images("p", [along(0), along(1), along(2)])
    assert [entry.duplicate for entry in added] == [False] * 3
    assert [image.id for image in gallery.list_images("p")] == [entry.id for entry in added]
    (best,) = found(gallery, 1)
    # The mean of three axes is 1/√3 along each.
    length = (0.7**2 + 0.3**2 + 2 * 0.7 * 0.3 * 3**-0.5) ** 0.5
    score = pytest.approx((0.7 + 0.3 * 3**-0.5) / length, abs=1e-5)
    assert best == Candidate("p", "P", score, added[1].id, {"shelf": 7}, likeness=1.0)
    image = gallery.get_image(added[1].id)
    assert (image.product_id, image.width, image.height) == ("p", 30, 20)
    assert image.content_sha256 == digest("axis 1")
    assert image.created_at.tzinfo is UTC
    assert gallery.get_thumbnail(image.id) == JPEG


def test_the_same_content_is_one_reference_of_a_product(gallery: Gallery) -> None:
    for product_id in ("p", "q"):
        gallery.put_product(product_id, product_id, {})
    first = gallery.add_images("p", [along(0), along(1), along(0)])
    assert first[2] == AddedImage(first[0].id, duplicate=True)
    revision = gallery.stats().revision
    assert gallery.add_images("p", [along(1)]) == [AddedImage(first[1].id, duplicate=True)]
    assert gallery.stats().revision == revision
    other = gallery.add_images("q", [along(0)])
    assert not other[0].duplicate
    # The only reference of its product leans to no other one.
    assert [(one.product_id, one.likeness) for one in found(gallery, 0, k=2)] == [
        ("q", 1.0),
        ("p", 1.0),
    ]
    gallery.delete_image(first[0].id)
    again = gallery.add_images("p", [along(0)])
    assert not again[0].duplicate
    assert again[0].id != first[0].id


def test_an_image_may_have_several_vectors(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {})
    gallery.add_images("p", [new_image("a", [bits(0), bits(1)])])
    assert found(gallery, 0) == found(gallery, 1)
    stats = gallery.stats()
    assert (stats.products, stats.images, stats.vectors) == (1, 1, 2)


def test_deleted_images_and_products_are_gone(gallery: Gallery) -> None:
    for product_id in ("p", "q"):
        gallery.put_product(product_id, product_id, {})
    first, second = gallery.add_images("p", [along(0), along(1)])
    gallery.add_images("q", [along(2)])
    gallery.delete_image(first.id)
    assert found(gallery, 0)[0].score == 0.0
    for call in (gallery.get_image, gallery.get_thumbnail, gallery.delete_image):
        with pytest.raises(UnknownImage, match="no reference image"):
            call(first.id)
    gallery.delete_product("p")
    assert [candidate.product_id for candidate in found(gallery, 1)] == ["q"]
    with pytest.raises(UnknownImage):
        gallery.get_image(second.id)
    for ask in (gallery.get_product, gallery.list_images, gallery.delete_product):
        with pytest.raises(UnknownProduct, match="no product 'p'"):
            ask("p")
    product, is_new = gallery.put_product("p", "again", {})
    assert is_new
    assert product.image_count == 0
    assert [candidate.product_id for candidate in found(gallery, 1)] == ["q"]
    assert gallery.consistent()


def test_a_call_that_raises_changes_nothing(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {})
    before = gallery.stats()
    zeros, nan = np.zeros((1, DIMENSION)), np.full((1, DIMENSION), np.nan)
    for vectors in (zeros, nan, np.ones((1, 3)), np.empty((0, DIMENSION))):
        with pytest.raises(InvalidVector):
            gallery.add_images("p", [along(0), new_image("bad", vectors)])
    with pytest.raises(UnknownProduct):
        gallery.add_images("nobody", [along(0)])
    with pytest.raises(InvalidValue):
        gallery.put_product("p", "other", {"a": float("nan")})
    for call in (lambda: gallery.delete_product("nobody"), lambda: gallery.delete_image("none")):
        with pytest.raises(GalleryError):
            call()
    assert gallery.stats() == before
    assert gallery.get_product("p").name == "P"
    assert found(gallery, 0) == []
    assert gallery.consistent()


def test_products_are_listed_by_id_in_pages_that_hold_still(gallery: Gallery) -> None:
    names = ["b", "a/b", "Z", "ä", "10", "9", "c" * 10_000]
    for name in names:
        gallery.put_product(name, name, {})
    assert gallery.list_products(None, 100)[0] == [gallery.get_product(n) for n in sorted(names)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = gallery.list_products(cursor, 2)
        seen += [product.id for product in page]
        gallery.put_product("0 before" + str(len(seen)), "new", {})
        if seen[-1] in names:
            gallery.delete_product(seen[-1])
        if cursor is None:
            break
    assert seen == sorted(names)
    assert gallery.list_products("zzz\U0010ffff", 5) == ([], None)
    for limit in (0, -1, 2**64):
        with pytest.raises(InvalidValue, match="limit"):
            gallery.list_products(None, limit)


def test_an_exact_page_has_no_next(gallery: Gallery) -> None:
    assert gallery.list_products(None, 2) == ([], None)
    for name in "abcd":
        gallery.put_product(name, name, {})
    assert gallery.list_products(None, 2)[1] == "b"
    assert gallery.list_products("b", 2)[1] is None


def test_a_search_is_ranked_by_product(gallery: Gallery) -> None:
    for product_id in ("p", "q", "r"):
        gallery.put_product(product_id, product_id, {})
        gallery.add_images(product_id, [new_image((product_id, n)) for n in range(40)])
    result = gallery.search(vectors_of("queries", 4), 2)
    assert result.revision == gallery.stats().revision == 6
    for candidates in result.candidates:
        assert len({candidate.product_id for candidate in candidates}) == 2
        assert candidates[0].score >= candidates[1].score
        for candidate in candidates:
            assert gallery.get_image(candidate.image_id).product_id == candidate.product_id
    assert [len(row) for row in gallery.search(vectors_of("queries", 4), 10**9).candidates] == [
        3
    ] * 4


def test_what_can_be_asked(gallery: Gallery) -> None:
    assert gallery.search(vectors_of("queries", 2), 5).candidates == [[], []]
    assert gallery.search(np.empty((0, DIMENSION), np.float32), 5).candidates == []
    gallery.put_product("p", "P", {})
    gallery.add_images("p", [along(0)])
    assert (
        found(gallery, 0)[0].score == gallery.search(50 * bits(0)[None], 1).candidates[0][0].score
    )
    for bad in (
        bits(0),
        np.full((1, DIMENSION), np.nan),
        np.zeros((1, DIMENSION)),
        np.ones((1, 3)),
    ):
        with pytest.raises(InvalidVector):
            gallery.search(bad, 5)
    for k in (0, -1, 2**63):
        with pytest.raises(InvalidValue):
            gallery.search(bits(0)[None], k)


def test_a_score_is_a_cosine(gallery: Gallery) -> None:
    gallery.put_product("p", "P", {})
    gallery.add_images("p", [new_image(n) for n in range(50)])
    for n in range(50):
        (best,) = gallery.search(vectors_of(n), 1).candidates[0]
        assert 0.999 < best.likeness <= 1.0
        assert best.score < best.likeness
