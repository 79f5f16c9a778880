import errno
import os
import shutil

import pytest

from models.errors import ModelError
from models.pack import PACK_FILE, Pack
from models.training.installation import check_settings, check_target, install, replacing


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_detector(pack, folder):
    """The pack's own detector, installed anew under another description."""
    for name in pack.detector.sha256:
        (folder / name).write_bytes((pack.folder / name).read_bytes())
    return install(pack.detector, pack, folder, description="anew")


def test_a_pack_takes_the_place_of_another_and_what_lies_beside_it_stays(pack_folder):
    before = Pack.load(pack_folder)
    (pack_folder / "NOTICE").write_text("whose it is")
    with replacing(pack_folder) as folder:
        write_detector(before, folder)
    after = Pack.load(pack_folder)
    assert (after.name, after.manifest.description) == (before.name, "anew")
    assert (pack_folder / "NOTICE").read_text() == "whose it is"
    assert [path.name for path in pack_folder.parent.iterdir()] == [pack_folder.name]


def test_a_failure_leaves_the_old_pack_whole(pack_folder, monkeypatch):
    pack, before = Pack.load(pack_folder), contents(pack_folder)

    def fill_the_disk(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy", fill_the_disk)
        with pytest.raises(ModelError, match="No space left"), replacing(pack_folder) as folder:
            write_detector(pack, folder)
    assert contents(pack_folder) == before

    rename = type(pack_folder).rename

    def refuses_new(path, target):
        if target == pack_folder and path.name == pack_folder.name:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return rename(path, target)

    monkeypatch.setattr(type(pack_folder), "rename", refuses_new)
    with pytest.raises(ModelError, match="not permitted"), replacing(pack_folder) as folder:
        write_detector(pack, folder)
    assert contents(pack_folder) == before
    assert [path.name for path in pack_folder.parent.iterdir()] == [pack_folder.name]


def test_where_no_pack_can_be_is_told(tmp_path, pack_folder, monkeypatch):
    check_target(pack_folder)
    check_target(tmp_path / "new" / "pack")
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty")
    (tmp_path / "file").touch()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").touch()
    for folder, reason in (
        (tmp_path / "My Pack", "cannot be a pack's name"),
        (tmp_path / "embedded", "comes with TillSight"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "pack", "is a file"),
        (tmp_path / "letters", f"{PACK_FILE} cannot be read"),
    ):
        with pytest.raises(ModelError, match=reason):
            check_target(folder)
    # Root may write anywhere: the test cannot take the right away.
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    for folder in (pack_folder, tmp_path / "new"):
        with pytest.raises(ModelError, match="may not be written to"):
            check_target(folder)


def test_settings_that_no_pack_may_hold_are_told(pack_folder):
    detector = Pack.load(pack_folder).detector
    check_settings(detector, score_threshold=0.4, input_size=(64, 64))
    for changes, told in (
        ({"score_threshold": 1.5}, r"score_threshold 1\.5"),
        ({"score_threshold": float("nan")}, "score_threshold nan"),
        ({"input_size": (4, 4)}, r"input_size \(4, 4\)"),
        ({"licence": ""}, "licence ''"),
    ):
        with pytest.raises(ModelError, match=f"No pack can be written with {told}"):
            check_settings(detector, **changes)
