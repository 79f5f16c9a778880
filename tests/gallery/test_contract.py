from pathlib import Path

import pytest

from tests.gallery.contract import GalleryContract, OpenGallery
from tests.gallery.samples import opened


class TestGallery(GalleryContract):
    @pytest.fixture(params=[8192, 3], ids=["in the delta", "compacted"])
    def open_gallery(self, tmp_path: Path, request: pytest.FixtureRequest) -> OpenGallery:
        return lambda: opened(tmp_path, compact_at=request.param)
