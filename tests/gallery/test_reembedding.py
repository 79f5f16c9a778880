"""Another embedder takes over a gallery: all of it or nothing, and only once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery import (
    FingerprintMismatch,
    Gallery,
    InvalidVector,
    NewImage,
    StorageFailed,
    reembed,
    reembedding,
    restore,
)
from tests.gallery.samples import digest, opened, vectors_of

NEW_DIMENSION = 5


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reembedding, "_IMAGES_AT_ONCE", 4)
    monkeypatch.setattr(reembedding, "_VECTORS_AT_ONCE", 4)


def image(content: str) -> NewImage:
    return NewImage(digest(content), 30, 20, content.encode(), vectors_of(content))


def fill(gallery: Gallery) -> None:
    for product in range(5):
        gallery.put_product(f"p{product}", f"product {product}", {})
        gallery.add_images(f"p{product}", [image(f"{product}/{n}") for n in range(6)])
    gallery.delete_product("p2")


def embed(jpegs: list[bytes]) -> list[NDArray[np.float32]]:
    """One or two vectors, as the image's content has it."""
    return [vectors_of(f"new {jpeg.decode()}", 1 + jpeg[-1] % 2, NEW_DIMENSION) for jpeg in jpegs]


def run(
    folder: Path,
    embed: Callable[[list[bytes]], list[NDArray[np.float32]]] = embed,
    fingerprint: str = "new",
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    return reembed(
        folder,
        dimension=NEW_DIMENSION,
        fingerprint=fingerprint,
        embed=embed,
        progress=progress,
    )


def check_new(folder: Path, count: int = 24) -> None:
    with pytest.raises(FingerprintMismatch):
        opened(folder)
    with Gallery.open(folder, dimension=NEW_DIMENSION, fingerprint="new") as gallery:
        assert gallery.stats().images == count
        assert gallery.consistent()
        for product in gallery.list_products(None, 10)[0]:
            for entry in gallery.list_images(product.id):
                queries = embed([gallery.get_thumbnail(entry.id)])[0]
                for candidates in gallery.search(queries, count).candidates:
                    nearest = max(candidates, key=lambda candidate: candidate.likeness)
                    assert nearest.image_id == entry.id
                    assert nearest.likeness > 0.999


def test_every_vector_is_made_again(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery)
        revision = gallery.stats().revision
    seen: list[tuple[int, int]] = []
    assert run(tmp_path, progress=lambda *counts: seen.append(counts)) == 24
    assert seen == [(count, 24) for count in range(4, 25, 4)]
    check_new(tmp_path)
    assert run(tmp_path) == 0
    with Gallery.open(tmp_path, dimension=NEW_DIMENSION, fingerprint="new") as gallery:
        assert gallery.stats().revision == revision + 1
        gallery.delete_product("p0")
        gallery.add_images("p1", [NewImage(digest("x"), 3, 2, b"x", embed([b"x"])[0])])
        gallery.snapshot()
    check_new(tmp_path, 19)
    # And a second time, after which the names of tables and indexes are the same.
    assert reembed(
        tmp_path,
        dimension=3,
        fingerprint="3",
        embed=lambda j: [np.ones((1, 3))] * len(j),
        progress=lambda _done, _total: None,
    )


def test_a_backup_comes_back_from_amid_it_and_from_behind_it(tmp_path: Path) -> None:
    with opened(tmp_path / "g") as gallery:
        fill(gallery)

    def stopped(jpegs: list[bytes]) -> list[NDArray[np.float32]]:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(tmp_path / "g", stopped)
    with opened(tmp_path / "g") as gallery:
        gallery.backup(tmp_path / "amid")
    run(tmp_path / "g")
    with Gallery.open(tmp_path / "g", dimension=NEW_DIMENSION, fingerprint="new") as gallery:
        gallery.backup(tmp_path / "behind")
    restore(tmp_path / "behind", tmp_path / "g")
    restore(tmp_path / "amid", tmp_path / "g")


def test_stopped_half_way_it_serves_as_before_and_then_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery)
        before = gallery.search(vectors_of("queries", 5), 3)
    calls = []

    def failing(jpegs: list[bytes]) -> list[NDArray[np.float32]]:
        calls.append(len(jpegs))
        if len(calls) == 4:
            raise OSError("the power went")
        return embed(jpegs)

    with pytest.raises(OSError, match="power"):
        run(tmp_path, failing)
    with opened(tmp_path) as gallery:
        assert gallery.search(vectors_of("queries", 5), 3) == before
        gallery.delete_image(gallery.list_images("p0")[2].id)
        gallery.delete_image(gallery.list_images("p1")[5].id)
        gallery.delete_product("p4")
        gallery.put_product("late", "late", {})
        gallery.add_images("late", [image(f"late/{n}") for n in range(2)])
    assert run(tmp_path) == 24 - 12 - 6 + 2 + 0
    check_new(tmp_path, 24 - 2 - 6 + 2)


def test_what_a_third_embedder_left_is_not_mixed_in(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery)
    calls = []

    def failing(jpegs: list[bytes]) -> list[NDArray[np.float32]]:
        calls.append(jpegs)
        if len(calls) == 3:
            raise OSError("stopped")
        return [np.ones((1, NEW_DIMENSION), dtype=np.float32)] * len(jpegs)

    with pytest.raises(OSError, match="stopped"):
        run(tmp_path, failing, fingerprint="third")
    assert run(tmp_path) == 24
    check_new(tmp_path)


def test_vectors_that_are_none_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        fill(gallery)
    for bad in (
        lambda jpegs: embed(jpegs)[1:],
        lambda jpegs: [np.zeros((1, NEW_DIMENSION))] * len(jpegs),
        lambda jpegs: [np.ones((1, 4))] * len(jpegs),
    ):
        with pytest.raises(InvalidVector):
            run(tmp_path, bad)
    with opened(tmp_path) as gallery:
        assert gallery.consistent()


def test_a_folder_without_a_gallery_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="no gallery"):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []
