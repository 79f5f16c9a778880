import pytest

from gallery.milvus import writer


@pytest.fixture(autouse=True)
def nobody_else_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process opens a gallery again and again here: there is nobody to wait for."""
    monkeypatch.setattr(writer, "_STILL_SECONDS", 0)
