"""The base on the disk: derived, checked before it is believed, replaceable from SQLite.

A snapshot is a folder, written under another name and renamed when all of it is on the disk.
Its manifest says which gallery and sequence it belongs to, carries checksums of every file and of
itself: Faiss loads an index with a flipped byte without a word. The files' are CRC-32 of blocks,
because a start waits for them: three times as quick as SHA-256, and as sure to notice what disks
do (any error within 32 bits; another one with a chance of 1 in 2^32). Who could forge a checksum
could as well change the database. What has been checked is mapped, not copied.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import re
import shutil
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gallery.base import FLAT, GRAPH, Base
from gallery.coarse import Coarse
from gallery.durable import flush, put_in_place
from gallery.errors import StorageFailed
from gallery.faiss_quiet import faiss
from gallery.store import State

logger = logging.getLogger(__name__)

_FORMAT = 3
_INDEX, _COARSE, _ROWS = "base.faiss", "coarse.faiss", "rows.npy"
_MANIFEST = "manifest.json"
_NAME = re.compile(r"snapshot-(\d{16})")
_PARTIAL = "partial-"
# The one before the newest is kept: replay from it is quicker than a rebuild.
_KEPT = 2
_BLOCK = 16 * 2**20
_THREADS = min(4, os.cpu_count() or 1)


class Unusable(Exception):
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
        np.save(
            partial / _ROWS, np.stack([base.images, base.products, base.alive]), allow_pickle=False
        )
        coarse = base.coarse
        if coarse is not None:
            faiss.write_index(coarse.index, str(partial / _COARSE))
        manifest = {
            **_identity(state),
            "format": _FORMAT,
            "kind": base.kind,
            "sequence": base.sequence,
            "last_vector": base.last_vector,
            "rows": len(base),
            "coarse": coarse
            and {
                "steps": coarse.steps.tolist(),
                "error": coarse.error,
                "longest": coarse.longest,
            },
            "files": {path.name: _described(path) for path in sorted(partial.iterdir())},
        }
        manifest["sha256"] = _digest(manifest)
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        for path in partial.iterdir():
            flush(path)
        if target.exists():
            shutil.rmtree(target)
        put_in_place(partial, target)
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


def any_in(folder: Path) -> bool:
    """Whether there is a snapshot, of use or not."""
    return folder.is_dir() and bool(_snapshots(folder))


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
            return load(path, state)
        except Unusable as reason:
            logger.warning("index snapshot %s is not used: %s", path.name, reason)
            _remove(path)
    return None


def load(path: Path, state: State, *, mapped: bool = True) -> Base:
    """The base in the snapshot folder `path`, its index in memory or mapped from the file.

    Raises Unusable unless it is whole and can be replayed up to `state`.
    """
    try:
        manifest: dict[str, Any] = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        claimed = manifest.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Unusable(f"its manifest can't be read ({error})") from error
    if claimed != _digest(manifest):
        raise Unusable("its manifest is damaged")
    if manifest["format"] != _FORMAT or manifest["kind"] not in (FLAT, GRAPH):
        raise Unusable(f"it is a {manifest['kind']} index of format {manifest['format']}")
    if any(manifest[key] != value for key, value in _identity(state).items()):
        raise Unusable("it belongs to another gallery or embedder")
    if not state.replay_floor <= manifest["sequence"] <= state.sequence:
        raise Unusable(f"the database can't be replayed from its sequence {manifest['sequence']}")
    try:
        for name, expected in manifest["files"].items():
            if _described(path / name) != expected:
                raise Unusable(f"{name} is damaged")
        how = faiss.IO_FLAG_MMAP_IFC if mapped else 0
        index = faiss.read_index(str(path / _INDEX), how)
        coarse = None
        if described := manifest["coarse"]:
            steps = np.array(described["steps"], dtype=np.float32)
            coarse = Coarse(
                faiss.read_index(str(path / _COARSE), how),
                steps,
                described["error"],
                described["longest"],
            )
        images, products, alive = np.load(path / _ROWS, allow_pickle=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise Unusable(f"it can't be read ({error})") from error
    return Base(
        index,
        images,
        products,
        alive.astype(np.bool_),
        sequence=manifest["sequence"],
        last_vector=manifest["last_vector"],
        source=path if mapped else None,
        coarse=coarse,
    )


def _identity(state: State) -> dict[str, str | int]:
    identity = asdict(state)
    return {key: identity[key] for key in ("gallery", "fingerprint", "dimension")}


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _described(path: Path) -> dict[str, int | list[int]]:
    """Size and the CRC-32 of each block; the blocks are read by several threads."""
    size = path.stat().st_size
    if size == 0:
        return {"bytes": 0, "crc32": []}
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as view,
        ThreadPoolExecutor(_THREADS) as threads,
    ):
        sums = list(threads.map(lambda at: _block_sum(view, at), range(0, size, _BLOCK)))
    return {"bytes": size, "crc32": sums}


def _block_sum(view: memoryview, start: int) -> int:
    with view[start : start + _BLOCK] as block:
        return zlib.crc32(block)


def _snapshots(folder: Path) -> list[tuple[int, Path]]:
    """Sequences and folders, newest first."""
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        logger.warning("could not remove %s: %s", path, error)
