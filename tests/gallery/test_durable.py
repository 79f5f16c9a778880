"""A file is on the disk before it gets its name, and then so is the name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gallery.durable import put_in_place


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, partial = tmp_path / "file", tmp_path / "partial"
    target.write_bytes(b"old")
    partial.write_bytes(b"new")
    flushed: list[tuple[int, bytes]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append((os.fstat(descriptor).st_ino, target.read_bytes()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    new = partial.stat().st_ino
    put_in_place(partial, target)
    assert flushed == [(new, b"old"), (tmp_path.stat().st_ino, b"new")]
    assert not partial.exists()
