"""The one place that knows where a gallery is."""

import sys
from pathlib import Path

import pytest

from gallery import Gallery, InvalidValue
from gallery.opening import (
    MissingExtra,
    checked_place,
    checked_url,
    folder_of,
    open_gallery,
    read_contents,
)
from tests.gallery.samples import DIMENSION, FINGERPRINT, new_image


def test_a_folder_is_opened_and_read_beside(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop'}"
    assert folder_of(url) == tmp_path / "shop"
    with open_gallery(
        url, pictures=str(tmp_path), dimension=DIMENSION, fingerprint=FINGERPRINT
    ) as gallery:
        assert isinstance(gallery, Gallery)
        gallery.put_product("p", "P", {})
        gallery.add_images("p", [new_image("a")])
        with read_contents(url, pictures=str(tmp_path)) as held:
            assert (held.fingerprint, held.image_count) == (FINGERPRINT, 1)
            gallery.delete_product("p")
            # Of the moment when it was opened.
            assert [reference.image.product_id for reference in held.references()] == ["p"]


@pytest.mark.parametrize(
    "url",
    [
        *("", "data/gallery", "ftp://there", "sqlite://relative", "sqlite:///", "http://"),
        *("http://localhost:99999", "http://localhost:port", "http://[::1:19530/shop"),
    ],
)
def test_what_is_no_gallery_is_told(url: str) -> None:
    with pytest.raises(InvalidValue, match="is no gallery"):
        checked_url(url)


@pytest.mark.parametrize("place", ["s3://", "s3:///prefix", "s3://b?endpoint=x", "gs://bucket"])
def test_where_no_pictures_can_be_is_told(place: str) -> None:
    for right in ("", "pictures", "/mnt/pictures", "s3://bucket", "s3://bucket/a/b"):
        assert checked_place(right) == right
    with pytest.raises(InvalidValue, match=r"s3://bucket"):
        checked_place(place)


def test_a_server_without_its_client_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://127.0.0.1:9"
    assert folder_of(url) is None
    needs = {"pymilvus": ("gallery.milvus", "pictures"), "obstore": ("gallery.objects", "s3://b")}
    for client, (package, pictures) in needs.items():
        with monkeypatch.context() as patch:
            for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
                patch.delitem(sys.modules, name)
            patch.delitem(sys.modules, package, raising=False)
            patch.setitem(sys.modules, client, None)
            with pytest.raises(MissingExtra, match=r"requirements-extras\.lock"):
                open_gallery(url, pictures=pictures, dimension=DIMENSION, fingerprint=FINGERPRINT)
