"""Puts an exported network into a pack, beside the other network of a pack there is."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.errors import ModelError
from models.pack import (
    PACK_FILE,
    PACK_NAME,
    PACKS,
    DetectorSpec,
    EmbedderSpec,
    Pack,
)


def check_settings(spec: DetectorSpec | EmbedderSpec, **changes: Any) -> None:
    """What a trained network will be served with: the source's `spec` and what differs from it.

    Raises:
        ModelError: no pack may hold it.
    """
    try:
        type(spec).model_validate(spec.model_dump() | changes)
    except ValidationError as error:
        faults = {str(fault["loc"][0]): fault["msg"] for fault in error.errors()}
        told = "; ".join(f"{name} {changes.get(name)!r}: {text}" for name, text in faults.items())
        raise ModelError(f"No pack can be written with {told}") from error


def check_target(folder: Path) -> None:
    """Whether a pack can be written to `folder`: to be asked before hours of training.

    Raises:
        ModelError: it cannot be a pack's name, a shipped pack has it, or what is there is no pack.
    """
    if not re.fullmatch(PACK_NAME, folder.name):
        raise ModelError(
            f"{folder.name!r} cannot be a pack's name: lower case, digits, dots, dashes"
        )
    if (PACKS / folder.name).exists():
        raise ModelError(f"{folder.name!r} is a pack that comes with TillSight: take another name")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ModelError(f"{nearest} is a file: no pack can be written there")
    parent = nearest.resolve().parent if nearest == folder else nearest
    if not os.access(parent, os.W_OK):
        raise ModelError(f"{parent} may not be written to: no pack can be written there")
    if nearest == folder and any(folder.iterdir()):
        Pack.load(folder)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder of the same name to write a pack into, which takes the place of `folder`.

    Only when all is written: until then, and if anything fails, a pack in `folder` stays as it was.
    Files there that are none of the pack's are kept.

    Raises:
        ModelError: the disk is full, or something else keeps files from being written.
    """
    place = folder.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=place.parent) as beside:
            new = Path(beside) / folder.name
            new.mkdir()
            yield new
            if place.exists():
                _keep_others(place, new)
                _exchange(place, new, Path(beside) / "replaced")
            else:
                new.rename(place)
    except OSError as error:
        raise ModelError(f"No pack was written to {folder}: {error}") from error


def install(
    spec: DetectorSpec | EmbedderSpec, pack: Pack, folder: Path, *, description: str
) -> Pack:
    """A pack in `folder`, where the files of `spec` are already, with the other network of `pack`.

    The two folders are never one: `replacing` gives another for that.
    """
    section, kept = (
        ("detector", pack.embedder)
        if isinstance(spec, DetectorSpec)
        else ("embedder", pack.detector)
    )
    for name in kept.sha256:
        shutil.copy(pack.folder / name, folder)
    manifest = pack.manifest.model_copy(
        update={"name": folder.name, "description": description, section: spec}
    )
    return Pack.write(folder, manifest)


def _keep_others(place: Path, new: Path) -> None:
    """Copy what lies beside a pack, a note or a licence, to the one that replaces it."""
    if not any(place.iterdir()):
        return
    old = Pack.load(place)
    replaced = {PACK_FILE, *old.detector.sha256, *old.embedder.sha256}
    for path in place.iterdir():
        if path.name in replaced or (new / path.name).exists():
            continue
        if path.is_dir():
            shutil.copytree(path, new / path.name)
        else:
            shutil.copy2(path, new)


def _exchange(place: Path, new: Path, old: Path) -> None:
    place.rename(old)
    try:
        new.rename(place)
    except OSError:
        old.rename(place)
        raise
