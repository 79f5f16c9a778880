"""The packs that benches of speed run: any that a service finds, and one that is made for them."""

import subprocess
import sys

from app.settings import Settings
from models.pack import Pack, find_pack

OFFICIAL = "official-seeded"


def find_or_make(settings: Settings) -> Pack:
    """The pack of these settings; the official architectures' is written where it is found."""
    if settings.pack == OFFICIAL:
        # In a process of its own: no bench runs beside Paddle's framework.
        folder = settings.fetched_packs / OFFICIAL
        subprocess.run([sys.executable, "-m", "bench.official", str(folder)], check=True)
    return find_pack(settings.pack, settings.pack_folders)


def section_of(name: str, pack: str) -> str:
    """The section of a report for a bench of this pack."""
    return name if pack == "embedded" else f"{name} {pack}"
