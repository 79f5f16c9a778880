from pathlib import Path

import pytest

from bench.milvus_server import MilvusServer
from tests.gallery.contract import GalleryContract, OpenGallery
from tests.gallery.milvus.opening import emptied, opened


class TestMilvusGallery(GalleryContract):
    @pytest.fixture
    def open_gallery(self, tmp_path: Path, milvus: MilvusServer) -> OpenGallery:
        url = emptied(f"{milvus.url}/contract")
        return lambda: opened(url, tmp_path)
