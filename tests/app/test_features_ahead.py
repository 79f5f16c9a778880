"""References' local features are there before somebody asks for them."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.features_ahead import FeaturesAhead
from app.images import encode_thumbnail
from app.kept_features import KeptFeatures
from app.reranker import Reranker
from gallery import Gallery, GalleryUnavailable
from tests.gallery.samples import DIMENSION, FINGERPRINT, new_image
from tests.models.test_local_features import label


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gallery]:
    monkeypatch.setattr("app.features_ahead.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("app.features_ahead.PAGE", 2)
    with Gallery.open(tmp_path, dimension=DIMENSION, fingerprint=FINGERPRINT) as gallery:
        yield gallery


def add(gallery: Gallery, product_id: str, seed: int) -> str:
    printed = np.repeat(label(seed)[..., None], 3, axis=2)
    image = replace(new_image(f"{product_id}{seed}"), thumbnail=encode_thumbnail(printed))
    gallery.put_product(product_id, product_id, {})
    return gallery.add_images(product_id, [image])[0].id


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_references_are_described_and_new_ones_too(gallery: Gallery) -> None:
    ids = [add(gallery, f"p{seed % 3}", seed) for seed in range(5)]
    kept = KeptFeatures(Path(":memory:"))
    with closing(FeaturesAhead(gallery, Reranker(gallery, kept), lambda: False)):
        until(lambda: all(kept.has(image_id) for image_id in ids))
        new = add(gallery, "p9", 9)
        until(lambda: kept.has(new))
    features = kept.get(new)
    assert features is not None
    assert len(features.places) > 20


def test_customers_go_first(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.patience.PATIENCE_SECONDS", 60)
    image_id = add(gallery, "p", 1)
    kept = KeptFeatures(Path(":memory:"))
    busy = [True]
    with closing(FeaturesAhead(gallery, Reranker(gallery, kept), lambda: busy[0])):
        time.sleep(0.2)
        assert not kept.has(image_id)
        busy.clear()
        busy.append(False)
        until(lambda: kept.has(image_id))


def test_it_waits_for_a_gallery_that_is_away(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = add(gallery, "p", 1)
    kept = KeptFeatures(Path(":memory:"))
    asked: list[None] = []

    def away() -> None:
        asked.append(None)
        raise GalleryUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(gallery, "stats", away)
        with closing(FeaturesAhead(gallery, Reranker(gallery, kept), lambda: False)):
            until(lambda: len(asked) > 2)
            patched.undo()
            until(lambda: kept.has(image_id))
