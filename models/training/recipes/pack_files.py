"""The embedded pack's files. pack.toml is written by hand but for the hashes of what was made."""

import re
from pathlib import Path

from models.pack import PACKS

PACK = PACKS / "embedded"


def write_hashes(manifest: Path, hashes: dict[str, str]) -> None:
    """Puts the files' sha256 into pack.toml, where their names stand already."""
    text = manifest.read_text(encoding="utf-8")
    for name, digest in hashes.items():
        entry = rf'("{re.escape(name)}" = ")[0-9a-f]*"'
        text, found = re.subn(entry, rf'\g<1>{digest}"', text)
        if found != 1:
            raise ValueError(f"{manifest} names {name} {found} times, not once")
    manifest.write_text(text, encoding="utf-8")
