from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.beside_samples import SearchBesideSamples
from gallery import Gallery, In, SearchedSize
from tests.gallery.samples import new_image, opened, vectors_of

QUERY = vectors_of("asked")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with opened(tmp_path) as opened_gallery:
        for number in range(3):
            put(opened_gallery, f"sample{number}", {"sample": True}, images=4)
        yield opened_gallery


def put(gallery: Gallery, name: str, metadata: dict, images: int) -> None:
    gallery.put_product(name, name, metadata)
    gallery.add_images(name, [new_image((name, n)) for n in range(images)])


def test_samples_alone_are_a_gallery(gallery: Gallery) -> None:
    found = SearchBesideSamples(gallery).search(QUERY, 3)
    assert found.size == SearchedSize(3, 12)
    assert found == gallery.search(QUERY, 3)


def test_beside_a_shops_own_they_are_found_but_not_counted(gallery: Gallery) -> None:
    searched = SearchBesideSamples(gallery)
    searched.search(QUERY, 1)
    # A shop may say "sample" of its own products, too.
    put(gallery, "mine", {"sample": "free", "shelf": 7}, images=2)
    found = searched.search(QUERY, 4)
    assert found.size == SearchedSize(1, 2)
    assert found.candidates == gallery.search(QUERY, 4).candidates
    gallery.delete_product("sample0")
    assert searched.search(QUERY, 4).size == SearchedSize(1, 2)
    put(gallery, "yours", {}, images=5)
    assert searched.search(QUERY, 4).size == SearchedSize(2, 7)
    for number in (1, 2):
        gallery.delete_product(f"sample{number}")
    assert searched.search(QUERY, 4).size == SearchedSize(2, 7)


def test_a_product_without_images_is_not_a_shops_first(gallery: Gallery) -> None:
    searched = SearchBesideSamples(gallery)
    gallery.put_product("mine", "mine", {})
    assert searched.search(QUERY, 3).size == SearchedSize(3, 12)
    gallery.add_images("mine", [new_image("mine")])
    gallery.put_product("yours", "yours", {})
    assert searched.search(QUERY, 3).size == SearchedSize(1, 1)
    gallery.delete_product("mine")
    for number in range(3):
        gallery.delete_product(f"sample{number}")
    assert searched.search(QUERY, 3).size == SearchedSize(0, 0)


def test_with_a_filter_what_it_keeps_is_counted(gallery: Gallery) -> None:
    put(gallery, "mine", {"shelf": 7}, images=2)
    searched = SearchBesideSamples(gallery)
    assert searched.search(QUERY, 3, In("shelf", (7,))).size == SearchedSize(1, 2)
    assert searched.search(QUERY, 3, In("sample", (True,))).size == SearchedSize(3, 12)
    assert searched.search(np.empty((0, 8), np.float32), 3).candidates == []
