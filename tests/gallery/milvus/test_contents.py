"""Reading all of it while others write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.milvus_server import MilvusServer
from gallery import GalleryDamaged
from gallery.objects import FolderObjects
from tests.gallery.milvus.opening import emptied, opened
from tests.gallery.samples import digest, new_image


def test_what_is_deleted_while_it_is_read_is_missing_and_no_damage(
    milvus: MilvusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.milvus.contents._PICTURES_AT_ONCE", 2)
    with opened(emptied(f"{milvus.url}/contract"), tmp_path) as gallery:
        gallery.put_product("p", "P", {})
        images = [replace(new_image(n), thumbnail=str(n).encode()) for n in range(6)]
        added = gallery.add_images("p", images)
        with gallery.contents() as held:
            references = held.references()
            read = [next(references)]
            gallery.delete_image(added[3].id)
            read += references
        assert [(entry.thumbnail, entry.image.content_sha256) for entry in read] == [
            (str(n).encode(), digest(n)) for n in range(6) if n != 3
        ]
        # One that is there yet and has lost its picture is told.
        pictures = FolderObjects(tmp_path)
        pictures.delete(pictures.put_all([b"4"])[0])
        with gallery.contents() as held, pytest.raises(GalleryDamaged):
            list(held.references())
