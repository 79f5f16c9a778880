"""Where model packs lie."""

from pathlib import Path

from app.settings import Settings
from models.pack import PACKS


def fetched_packs(settings: Settings) -> Path:
    """Packs that were downloaded: run-time state, so with the data."""
    return settings.data_dir / "packs"


def pack_folders(settings: Settings) -> list[Path]:
    """Where packs are looked for: the repository's own first."""
    return [PACKS, fetched_packs(settings)]
