"""A gallery copied elsewhere and back holds the same and answers the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.milvus_server import MilvusServer
from gallery import FingerprintMismatch, Gallery, GalleryProtocol, UnknownProduct
from gallery.migration import MigrationFailed, migrate
from gallery.objects.bucket import BucketObjects
from gallery.opening import open_gallery, read_contents
from tests.gallery.milvus import opening
from tests.gallery.samples import DIMENSION, FINGERPRINT, JPEG, new_image, opened, vectors_of


def fill(gallery: GalleryProtocol) -> None:
    for number in range(20):
        gallery.put_product(f"p{number:02}", f"P {number}", {"number": number, "nested": [1.5]})
    # In turn, so that a product's references are apart.
    for n in range(3):
        for number in range(20):
            images = [new_image((number, n), vectors_of((number, n), 1 + n % 2))]
            gallery.add_images(f"p{number:02}", images)


def held(gallery: GalleryProtocol) -> list[object]:
    with gallery.contents() as contents:
        products = [(p.id, p.name, p.metadata, p.image_count) for p in contents.products()]
        references = [
            (entry.image.id, entry.image.product_id, entry.thumbnail, entry.vectors.tobytes())
            for entry in contents.references()
        ]
    assert all(picture == JPEG for _, _, picture, _ in references)
    return [products, references]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    with opened(tmp_path / "source") as gallery:
        fill(gallery)
    return tmp_path / "source"


def copy(source: str, target: str, pictures: str = "", samples: int = 30) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    with (
        read_contents(source, pictures=pictures) as contents,
        open_gallery(
            target, pictures=pictures, dimension=contents.dimension, fingerprint=FINGERPRINT
        ) as into,
    ):
        found = migrate(contents, into, samples=samples, progress=lambda *step: seen.append(step))
        assert (found.products, found.images) == (20, 60)
        assert found.asked == found.agreeing == samples
    return seen


def test_there_and_back(milvus: MilvusServer, bucket: str, source: Path, tmp_path: Path) -> None:
    server = opening.emptied(f"{milvus.url}/contract")
    with opened(source) as serving:
        # A service has the source open and goes on.
        assert copy(f"sqlite:///{source}", server, bucket)[-1] == (60, 60)
        before = held(serving)
    with opening.opened(server, BucketObjects(bucket)) as there:
        assert held(there) == before
    back = tmp_path / "back"
    copy(server, f"sqlite:///{back}", bucket)
    with opened(back) as gallery:
        assert held(gallery) == before
        assert gallery.consistent()


def test_what_was_stopped_goes_on(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with (
        read_contents(f"sqlite:///{source}", pictures="") as contents,
        opened(target) as into,
        opened(tmp_path / "other") as other,
    ):
        references = list(contents.references())
        into.take(list(contents.products()), references[:25])
        revision = into.stats().revision
        with pytest.raises(UnknownProduct):
            other.take([], references[:1])
    copy(f"sqlite:///{source}", f"sqlite:///{target}")
    with opened(target) as into, opened(source) as gallery:
        assert held(into) == held(gallery)
        kinds = {change.kind for change in into.changes(revision, 100)}
        assert kinds == {"add image"}
        done = into.stats().revision
    # All is there: nothing changes, and a client that follows the changes hears of none.
    copy(f"sqlite:///{source}", f"sqlite:///{target}")
    with opened(target) as into:
        assert into.stats().revision == done


def test_another_embedders_or_another_shops_gallery_is_refused(
    source: Path, tmp_path: Path
) -> None:
    with opened(tmp_path / "shop") as gallery:
        gallery.put_product("theirs", "Theirs", {})
        gallery.add_images("theirs", [new_image("theirs")])
    with pytest.raises(MigrationFailed, match="21 products"):
        copy(f"sqlite:///{source}", f"sqlite:///{tmp_path / 'shop'}")
    with pytest.raises(FingerprintMismatch):
        Gallery.open(tmp_path / "shop", dimension=DIMENSION, fingerprint="another")
