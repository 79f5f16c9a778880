"""The one place that knows where a gallery is."""

import subprocess
import sys
from pathlib import Path

import pytest

from gallery import Gallery, InvalidValue
from gallery.opening import (
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


@pytest.mark.parametrize(
    ("client", "pictures"), [("pymilvus", "pictures"), ("obstore", "s3://bucket")]
)
def test_a_server_without_its_client_says_what_to_install(client: str, pictures: str) -> None:
    url = "http://127.0.0.1:9"
    assert folder_of(url) is None
    # In a process of its own: modules taken out of this one would be loaded twice for other tests.
    without = f"""
import subprocess
import sys
sys.modules[{client!r}] = None
from gallery.opening import MissingExtra, open_gallery
try:
    open_gallery({url!r}, pictures={pictures!r}, dimension={DIMENSION}, fingerprint={FINGERPRINT!r})
except MissingExtra as error:
    print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", without], check=True, capture_output=True, text=True
    ).stdout
    assert "requirements-extras.lock" in said
    assert client in said
