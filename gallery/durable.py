"""What is on the disk when a call returns, so that no failing power takes it back (fsync)."""

from __future__ import annotations

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Have the file or folder on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(partial: Path, target: Path) -> None:
    """Give the finished `partial` the name `target`, beside it.

    A file that was there is replaced: at any moment there is the whole old or the whole new one.
    """
    flush(partial)
    partial.replace(target)
    # The name is in the folder, not in the file.
    flush(target.parent)
