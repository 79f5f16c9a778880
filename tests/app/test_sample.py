from contextlib import closing
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from app import sample
from app.sample import (
    enrol_sample_gallery,
    name_of,
    read_vectors,
    references,
    remove_sample_products,
    sample_products,
)
from app.service import Service
from app.settings import Settings
from gallery import Gallery, StorageFailed

FIXED = "Write them again with: python -m app.sample"


@pytest.fixture
def gallery(tmp_path, service):
    embedder = service.embedder
    with Gallery.open(
        tmp_path / "gallery", dimension=embedder.dimension, fingerprint=embedder.fingerprint
    ) as opened:
        yield opened


def nearest(service, gallery):
    """The product and score found by each sample picture."""
    vectors = [service.enroller.prepare(path.read_bytes()).vectors for path in references()[::5]]
    found = gallery.search(np.concatenate(vectors).astype(np.float32), 1).candidates
    return [(best.product_id, best.score) for (best,) in found]


def test_the_vectors_that_come_with_the_pictures_are_the_embedded_packs(service):
    known = read_vectors(service.pack)
    assert known.keys() == {name_of(path) for path in references()}, FIXED
    for path in references()[::4]:
        made = service.enroller.prepare(path.read_bytes()).vectors
        assert known[name_of(path)].shape == made.shape, FIXED
        # Halves of a float16's last digit, and what another processor rounds otherwise.
        np.testing.assert_allclose(known[name_of(path)], made, atol=1e-3, err_msg=FIXED)


def test_the_samples_are_enrolled_alike_with_and_without_their_vectors(
    service, tmp_path, gallery, monkeypatch
):
    embedded = []
    embed = service.embedder.embed
    monkeypatch.setattr(
        service.embedder, "embed", lambda crops: (embedded.append(len(crops)), embed(crops))[1]
    )
    enrol_sample_gallery(gallery, service.enroller, service.pack, tmp_path / "state", Event())
    assert not embedded
    stats = gallery.stats()
    ready_made = nearest(service, gallery)
    assert {product for product, _ in ready_made} <= {p.parent.name for p in references()}

    other = service.pack.manifest.model_copy(
        update={"detector": service.pack.detector.model_copy(update={"score_threshold": 0.5})}
    )
    foreign = type(service.pack)(service.pack.folder, other)
    assert read_vectors(foreign) == {}
    for product in gallery.list_products(None, 100)[0]:
        gallery.delete_product(product.id)
    embedded.clear()
    enrol_sample_gallery(gallery, service.enroller, foreign, tmp_path / "again", Event())
    assert sum(embedded) >= len(references())
    assert (gallery.stats().products, gallery.stats().images) == (stats.products, stats.images)
    for (product, score), (wanted, expected) in zip(
        nearest(service, gallery), ready_made, strict=True
    ):
        assert product == wanted
        assert score == pytest.approx(expected, abs=2e-3)


def test_samples_are_removed_and_nothing_that_is_a_shops(service, tmp_path, gallery):
    enrol_sample_gallery(gallery, service.enroller, service.pack, tmp_path / "state", Event())
    gallery.put_product("marked-alike", "Mine", {"sample": True})
    gallery.put_product("faminix-mint-tea", "Called alike", {"sample": "true"})
    assert len(sample_products(gallery)) == 11
    remove_sample_products(gallery)
    assert sample_products(gallery) == []
    left = gallery.list_products(None, 100)[0]
    assert [product.id for product in left] == ["faminix-mint-tea", "marked-alike"]


def test_a_sample_that_becomes_a_shops_meanwhile_stays(service, tmp_path, gallery, monkeypatch):
    enrol_sample_gallery(gallery, service.enroller, service.pack, tmp_path / "state", Event())
    delete = gallery.delete_product

    def just_before(product_id, **version):
        if product_id == "faminix-mint-tea":
            gallery.put_product(product_id, "Mine", {})
        delete(product_id, **version)

    monkeypatch.setattr(gallery, "delete_product", just_before)
    remove_sample_products(gallery)
    assert [product.name for product in gallery.list_products(None, 100)[0]] == ["Mine"]


def test_an_enrolment_is_not_repeated(service, tmp_path, gallery):
    state: Path = tmp_path / "state"
    state.write_text("enrolled")
    enrol_sample_gallery(gallery, service.enroller, service.pack, state, Event())
    assert gallery.stats().products == 0
    assert sample.VECTORS.stat().st_size < 150_000


def test_what_storage_refuses_for_a_while_is_enrolled_later(tmp_path, monkeypatch):
    refusals = iter([StorageFailed("database is locked"), OSError("no space left")])
    tried, go_on = Event(), Event()

    def enrol(*arguments):
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        tried.set()
        assert go_on.wait(60)
        enrol_sample_gallery(*arguments)

    monkeypatch.setattr("app.service.enrol_sample_gallery", enrol)
    monkeypatch.setattr("app.service.SECONDS_BETWEEN_TRIES", 0)
    with closing(Service(Settings(data_dir=tmp_path, exit_when_stuck=0))) as service:
        assert tried.wait(60)
        assert service.not_ready() == "The sample gallery could not be enrolled yet; see the log."
        go_on.set()
        service._samples.join(60)
        assert service.not_ready() is None
        assert sample_products(service.gallery)
