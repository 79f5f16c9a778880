"""From a PP-LCNetV2 "ShiTu" to the official serving contract, and into a pack.

Input `x` float32 [N, 3, 224, 224], output float32 [N, 512], not normalised.

    python -m models.training.export_embedder WEIGHTS --from PACK --to PACK
"""

from pathlib import Path
from typing import Annotated

import typer

from models.nets.pp_lcnet_v2 import EMBEDDING_CHANNELS, PPLCNetV2ShiTu, fold
from models.pack import EmbedderSpec, Pack
from models.training.detection.normalisation import IMAGENET
from models.training.detection.weights import read_weights
from models.training.embedding.weights import embedder_from
from models.training.export import export
from models.training.installation import install

STEM = "embedder"
INPUT_SIZE = (224, 224)


def export_embedder(network: PPLCNetV2ShiTu, folder: Path) -> dict[str, str]:
    """Write `embedder.json` and `embedder.pdiparams`.

    The network's branches are folded in place: it can be served, not trained, afterwards.

    Returns:
        sha256 by file name.
    """
    network.eval()
    fold(network)
    return export(network, folder, STEM, INPUT_SIZE)


def install_embedder(
    network: PPLCNetV2ShiTu,
    pack: Pack,
    folder: Path,
    *,
    match_threshold: float,
    ambiguous_margin: float,
    licence: str,
    origin: str,
) -> Pack:
    """A pack in `folder` with this embedder and the detector of `pack`; see `install`."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = EmbedderSpec(
        model=f"{STEM}.json",
        params=f"{STEM}.pdiparams",
        sha256=export_embedder(network, folder),
        input_size=INPUT_SIZE,
        interpolation="linear",
        scale=IMAGENET.scale,
        mean=IMAGENET.mean,
        std=IMAGENET.std,
        dimension=EMBEDDING_CHANNELS,
        match_threshold=match_threshold,
        ambiguous_margin=ambiguous_margin,
        licence=licence,
        origin=origin,
    )
    description = f"PP-LCNetV2 as embedder, with the detector of {pack.name}"
    return install(spec, pack, folder, description=description)


def main(
    weights: Annotated[Path, typer.Argument(help="A .pdparams file, ours or the reference's.")],
    pack: Annotated[Path, typer.Option("--from", help="Folder of the pack with the detector.")],
    to: Annotated[Path, typer.Option(help="Folder of the pack to write; may be the same.")],
    licence: Annotated[str, typer.Option(help="Of the weights.")],
    origin: Annotated[str, typer.Option(help="Where they come from and how they were made.")],
    match_threshold: Annotated[float, typer.Option(help="Recognised at or above.")] = 0.5,
    ambiguous_margin: Annotated[float, typer.Option(help="Products nearer are alike.")] = 0.02,
) -> None:
    """Export a feature extractor's weights into a pack."""
    written = install_embedder(
        embedder_from(read_weights(weights)),
        Pack.load(pack),
        to,
        match_threshold=match_threshold,
        ambiguous_margin=ambiguous_margin,
        licence=licence,
        origin=origin,
    )
    print(f"{written.folder}: {written.embedder.model}, {written.embedder.fingerprint}")


if __name__ == "__main__":
    typer.run(main)
