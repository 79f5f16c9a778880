"""The embedded pack with an embedder that was trained without one fifth of the products."""

import shutil
from pathlib import Path

from models.pack import Pack, sha256_of
from models.training.recipes.pack_files import PACK


def folded_pack(work: Path, fold: int, folder: Path) -> Pack:
    """That of a fold (models.training.recipes.split), written to `folder`.

    `work` is where models.training.recipes.embedded_embedder trained the embedders.
    """
    pack = Pack.load(PACK)
    shutil.copytree(PACK, folder)
    files = (pack.embedder.model, pack.embedder.params)
    for name in files:
        shutil.copy(work / str(fold) / name, folder / name)
    hashes = {name: sha256_of(folder / name) for name in files}
    embedder = pack.embedder.model_copy(update={"sha256": hashes})
    manifest = pack.manifest.model_copy(update={"embedder": embedder})
    return Pack.write(folder, manifest)
