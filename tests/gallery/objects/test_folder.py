from pathlib import Path

import pytest

from gallery import StorageFailed
from gallery.objects import FolderObjects


def test_a_folder_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed):
        FolderObjects(tmp_path / "file").check()
    objects = FolderObjects(tmp_path / "pictures")
    objects.check()
    # In the place of the folder that this picture goes to.
    (tmp_path / "pictures" / "2c").touch()
    with pytest.raises(StorageFailed):
        objects.put_all([b"foo"])


def test_nothing_but_pictures_is_left_in_it(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "pictures")
    objects.check()
    keys = objects.put_all([bytes([number]) for number in range(20)])
    objects.delete(keys[0])
    files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(keys[1:])
