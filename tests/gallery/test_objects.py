"""Pictures by their hash, in a folder."""

from pathlib import Path

import pytest

from gallery import GalleryDamaged, StorageFailed
from gallery.objects import Objects


def test_what_was_put_is_there_under_its_hash(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "pictures")
    pictures = [bytes([number]) * 100 for number in range(40)]
    keys = objects.put_all([*pictures, pictures[0]])
    assert len(set(keys)) == 40
    assert keys[-1] == keys[0]
    assert [Objects(tmp_path / "pictures").get(key) for key in keys[:40]] == pictures
    objects.delete(keys[0])
    objects.delete(keys[0])
    with pytest.raises(GalleryDamaged, match=keys[0]):
        objects.get(keys[0])
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 39


def test_a_damaged_picture_is_not_given_out(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    (key,) = objects.put_all([b"a picture"])
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(b"another")
    with pytest.raises(GalleryDamaged, match="damaged"):
        objects.get(key)


def test_a_folder_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed):
        Objects(tmp_path / "file")
    objects = Objects(tmp_path / "pictures")
    # In the place of the folder that this picture goes to.
    (tmp_path / "pictures" / "2c").touch()
    with pytest.raises(StorageFailed):
        objects.put_all([b"foo"])
