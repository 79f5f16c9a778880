"""The base on the disk: derived, checked before it is believed, replaceable from SQLite.

A snapshot is a folder, written under another name and renamed when all of it is on the disk.
Its manifest says which gallery and sequence it belongs to and carries a SHA-256 of every file and
of itself: Faiss loads an index with a flipped byte without a word.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gallery.base import KIND, Base
from gallery.errors import StorageFailed
from gallery.faiss_quiet import faiss
from gallery.store import State

logger = logging.getLogger(__name__)

_FORMAT = 1
_INDEX, _ROWS, _MANIFEST = "base.faiss", "rows.npy", "manifest.json"
_NAME = re.compile(r"snapshot-(\d{16})")
_PARTIAL = "partial-"
# The one before the newest is kept: replay from it is quicker than a rebuild.
_KEPT = 2


class _Unusable(Exception):
    """Why a snapshot can't be used."""


def write(folder: Path, base: Base, state: State) -> int:
    """Write `base` durably and remove older snapshots; returns the oldest sequence still kept.

    Raises StorageFailed when the disk refuses; what was there before is then still there.
    """
    partial = folder / f"{_PARTIAL}{uuid.uuid4().hex}"
    target = folder / f"snapshot-{base.sequence:016d}"
    try:
        partial.mkdir(parents=True)
        faiss.write_index(base.index, str(partial / _INDEX))
        np.save(partial / _ROWS, np.stack([base.images, base.products]), allow_pickle=False)
        manifest = {
            **_identity(state),
            "format": _FORMAT,
            "kind": base.kind,
            "sequence": base.sequence,
            "last_vector": base.last_vector,
            "rows": len(base),
            "files": {name: _described(partial / name) for name in (_INDEX, _ROWS)},
        }
        manifest["sha256"] = _digest(manifest)
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        for path in (*partial.iterdir(), partial):
            flush(path)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        flush(folder)
    # Faiss reports a failed write as RuntimeError.
    except (OSError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageFailed(
            f"The index could not be saved in {folder} ({error}). Check free space and "
            "permissions. Nothing is lost: it is made again from the database at the next start."
        ) from error
    kept = _snapshots(folder)
    for _, path in kept[_KEPT:]:
        _remove(path)
    return kept[:_KEPT][-1][0]


def load_newest(folder: Path, state: State) -> Base | None:
    """The newest base that is whole and can be replayed up to `state`; None if there is none.

    Those that can't be used are logged and removed.
    """
    if not folder.is_dir():
        return None
    for path in folder.glob(f"{_PARTIAL}*"):
        _remove(path)
    for _, path in _snapshots(folder):
        try:
            return _load(path, state)
        except _Unusable as reason:
            logger.warning("index snapshot %s is not used: %s", path.name, reason)
            _remove(path)
    return None


def _load(path: Path, state: State) -> Base:
    try:
        manifest: dict[str, Any] = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        claimed = manifest.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _Unusable(f"its manifest can't be read ({error})") from error
    if claimed != _digest(manifest):
        raise _Unusable("its manifest is damaged")
    if manifest["format"] != _FORMAT or manifest["kind"] != KIND:
        raise _Unusable(f"it is a {manifest['kind']} index of format {manifest['format']}")
    if any(manifest[key] != value for key, value in _identity(state).items()):
        raise _Unusable("it belongs to another gallery or embedder")
    if not state.replay_floor <= manifest["sequence"] <= state.sequence:
        raise _Unusable(f"the database can't be replayed from its sequence {manifest['sequence']}")
    try:
        for name, expected in manifest["files"].items():
            if _described(path / name) != expected:
                raise _Unusable(f"{name} is damaged")
        index = faiss.read_index(str(path / _INDEX))
        images, products = np.load(path / _ROWS, allow_pickle=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise _Unusable(f"it can't be read ({error})") from error
    return Base(
        index,
        images,
        products,
        sequence=manifest["sequence"],
        last_vector=manifest["last_vector"],
    )


def _identity(state: State) -> dict[str, str | int]:
    identity = asdict(state)
    return {key: identity[key] for key in ("gallery", "fingerprint", "dimension")}


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _described(path: Path) -> dict[str, str | int]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": sha256}


def _snapshots(folder: Path) -> list[tuple[int, Path]]:
    """Sequences and folders, newest first."""
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def flush(path: Path) -> None:
    """Have the file or folder on the disk itself (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        logger.warning("could not remove %s: %s", path, error)
