"""From a feature extractor to the official serving contract, and into a pack.

Input `x` float32 [N, 3, H, W], officially 224 x 224; output float32 [N, 512], not normalised.

    python -m models.training.export_embedder WEIGHTS --from PACK --to PACK
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu, fold
from models.pack import EmbedderSpec, Interpolation, Pack
from models.thresholds import MatchThreshold
from models.training.embedding.weights import (
    Embedder,
    dimension_of,
    embedder_from,
    normalisation_of,
)
from models.training.export import export, fold_batch_norms
from models.training.installation import check_target, install, replacing
from models.training.legacy import Legacy, export_legacy
from models.training.normalisation import Normalisation
from models.training.program import To, start
from models.training.state_dict import read_state_dict

STEM = "embedder"
INPUT_SIZE = (224, 224)


def export_embedder(
    network: Embedder,
    folder: Path,
    size: tuple[int, int] = INPUT_SIZE,
    legacy: Path | None = None,
) -> dict[str, str]:
    """Write `embedder.json` and `embedder.pdiparams` for an input of `size` (height, width).

    With `legacy`, an interpreter with Paddle 2.6.2, `embedder.pdmodel` instead of `.json`.

    What can be folded is folded in place: PP-LCNetV2's branches, EfficientNet-Lite's batch norms.

    Returns:
        sha256 by file name, the model first, then its parameters.
    """
    network.eval()
    if isinstance(network, PPLCNetV2ShiTu):
        fold(network)
    else:
        fold_batch_norms(network)
    hashes = export(network, folder, STEM, size)
    return hashes if legacy is None else export_legacy(network, folder, STEM, size, legacy)


def install_embedder(
    network: Embedder,
    pack: Pack,
    folder: Path,
    *,
    threshold: MatchThreshold,
    ambiguous_margin: float,
    licence: str,
    origin: str,
    size: tuple[int, int] = INPUT_SIZE,
    interpolation: Interpolation = "linear",
    normalisation: Normalisation | None = None,
    legacy: Path | None = None,
) -> Pack:
    """A pack in `folder` with this embedder and the detector of `pack`; see `install`.

    Without a normalisation it is that of the trunk's published weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    normalisation = normalisation or normalisation_of(network)
    dimension = dimension_of(network)
    model, params = hashes = export_embedder(network, folder, size, legacy)
    spec = EmbedderSpec(
        model=model,
        params=params,
        sha256=hashes,
        input_size=size,
        interpolation=interpolation,
        **asdict(normalisation),
        dimension=dimension,
        match_threshold=threshold.highest,
        match_growth=threshold.growth,
        ambiguous_margin=ambiguous_margin,
        licence=licence,
        origin=origin,
    )
    description = f"An embedder of {dimension} dimensions, with the detector of {pack.name}"
    return install(spec, pack, folder, description=description)


def main(
    weights: Annotated[Path, typer.Argument(help="A .pdparams file, ours or the reference's.")],
    pack: Annotated[Path, typer.Option("--from", help="Folder of the pack with the detector.")],
    to: To,
    licence: Annotated[str, typer.Option(help="Of the weights.")],
    origin: Annotated[str, typer.Option(help="Where they come from and how they were made.")],
    match_threshold: Annotated[float, typer.Option(help="Recognised at or above.")] = 0.5,
    ambiguous_margin: Annotated[float, typer.Option(help="Products nearer are alike.")] = 0.02,
    legacy: Legacy = None,
) -> None:
    """Export a feature extractor's weights into a pack."""
    check_target(to)
    with replacing(to) as folder:
        written = install_embedder(
            embedder_from(read_state_dict(weights)),
            Pack.load(pack),
            folder,
            threshold=MatchThreshold(match_threshold),
            ambiguous_margin=ambiguous_margin,
            licence=licence,
            origin=origin,
            legacy=legacy,
        )
    print(f"{to}: {written.embedder.model}, {written.embedder.fingerprint}")


if __name__ == "__main__":
    start(main)
