import pytest

from gallery.milvus import writer


@pytest.fixture(autouse=True)
def nobody_else_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process opens a gallery again and again here: there is nobody to wait for."""
    for wait in ("_STILL_SECONDS", "_YOUNG_SECONDS"):
        monkeypatch.setattr(writer, wait, 0)
