"""Pictures by their hash: what a folder and a bucket of a real S3 server do alike."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import obstore
import pytest

from gallery import GalleryDamaged
from gallery.objects import FolderObjects, Objects
from gallery.objects.base import place_of
from gallery.objects.bucket import BucketObjects

# What opens a store, and what overwrites an object of it behind its back.
Place: TypeAlias = tuple[Callable[[], Objects], Callable[[str, bytes], None]]


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, bucket: str) -> Place:
    if request.param == "folder":

        def write(key: str, data: bytes) -> None:
            (tmp_path / "pictures" / place_of(key)).write_bytes(data)

        return lambda: FolderObjects(tmp_path / "pictures"), write
    location = f"{bucket}/{tmp_path.name}"

    def put(key: str, data: bytes) -> None:
        obstore.put(BucketObjects(location)._store, place_of(key), data)

    return lambda: BucketObjects(location), put


def test_what_was_put_is_there_under_its_hash(place: Place) -> None:
    opened, _ = place
    objects = opened()
    objects.check()
    pictures = [bytes([number]) * 100 for number in range(40)]
    keys = objects.put_all([*pictures, pictures[0]])
    assert len(set(keys)) == 40
    assert keys[-1] == keys[0]
    # By whoever opens it next as well.
    assert opened().get_all(keys) == [*pictures, pictures[0]]
    assert objects.put_all([]) == objects.get_all([]) == []
    objects.delete(keys[0])
    objects.delete(keys[0])
    with pytest.raises(GalleryDamaged, match=keys[0]):
        objects.get(keys[0])
    with pytest.raises(GalleryDamaged, match=keys[0]):
        objects.get_all(keys)
    assert objects.put_all(pictures[:1]) == keys[:1]
    assert objects.get(keys[0]) == pictures[0]


def test_many_put_the_same_picture_at_once(place: Place) -> None:
    opened, _ = place
    objects = opened()
    objects.check()
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: objects.put_all([b"one", b"two"])[0], range(16)))
    assert [objects.get(key) for key in keys] == [b"one"]


def test_a_damaged_picture_is_not_given_out(place: Place) -> None:
    opened, damage = place
    objects = opened()
    objects.check()
    (key,) = objects.put_all([b"a picture"])
    damage(key, b"another")
    with pytest.raises(GalleryDamaged, match="damaged"):
        objects.get(key)
