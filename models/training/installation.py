"""Puts an exported network into a pack, beside the other network of a pack there is."""

import shutil
from pathlib import Path

from models.pack import PACK_FILE, DetectorSpec, EmbedderSpec, Pack, manifest_toml


def install(
    spec: DetectorSpec | EmbedderSpec, pack: Pack, folder: Path, *, description: str
) -> Pack:
    """A pack in `folder`, where the files of `spec` are already, with the other network of `pack`.

    The two folders may be one: the files of the network replaced are removed. `pack.toml` is
    written after all that it names is there; if anything fails before it, the hashes it holds tell.
    """
    section, replaced, kept = (
        ("detector", pack.detector, pack.embedder)
        if isinstance(spec, DetectorSpec)
        else ("embedder", pack.embedder, pack.detector)
    )
    same = folder.resolve() == pack.folder.resolve()
    if not same:
        for name in kept.sha256:
            shutil.copy(pack.folder / name, folder)
    manifest = pack.manifest.model_copy(
        update={"name": folder.name, "description": description, section: spec}
    )
    (folder / PACK_FILE).write_text(manifest_toml(manifest), encoding="utf-8")
    if same:
        for name in replaced.sha256.keys() - spec.sha256.keys():
            (folder / name).unlink()
    return Pack.load(folder)
