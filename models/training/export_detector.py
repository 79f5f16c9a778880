"""From a PicoDet to the official serving contract, and into a pack.

Inputs are called `image` and `scale_factor`; what they and the outputs hold is written at
`ServedDetector`.

    python -m models.training.export_detector WEIGHTS --from PACK --to PACK --size 640
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import paddle
import typer
from paddle.static import InputSpec

from models.nets import csp_pan, efficientnet_lite, pico_head, picodet, pp_lcnet
from models.nets.picodet import PicoDet
from models.pack import DetectorSpec, Interpolation, Pack, sha256_of
from models.training.detection.serving import ServedDetector
from models.training.detection.weights import detector_from, read_weights
from models.training.export import fold_batch_norms
from models.training.installation import check_target, install, replacing
from models.training.legacy import Legacy, export_legacy
from models.training.normalisation import normalisation_of
from models.training.program import To, start
from models.training.state_dict import name_tensors

STEM = "detector"
# Of a detector that has not been served yet: low, to be raised once it has been measured.
SCORE_THRESHOLD = 0.2


def export_detector(
    detector: PicoDet, folder: Path, size: tuple[int, int], legacy: Path | None = None
) -> dict[str, str]:
    """Write `detector.json` and `detector.pdiparams` for an input of `size` (height, width).

    Batch norms are folded in place, and parameters keep the names of the state dict:
    `models.training.detection.weights.read_exported` gets them back.
    With `legacy`, an interpreter with Paddle 2.6.2, `detector.pdmodel` instead of `.json`.

    Returns:
        sha256 by file name, the model first, then its parameters.
    """
    served = ServedDetector(detector, size)
    served.eval()
    fold_batch_norms(detector)
    name_tensors(detector)
    inputs = [
        InputSpec([None, 3, *size], "float32", "image"),
        InputSpec([None, 2], "float32", "scale_factor"),
    ]
    # No branch of these networks depends on a tensor's value: tracing is enough, and the rewriting
    # of their source that it spares chokes on `zip(..., strict=True)`.
    paddle.jit.ignore_module([csp_pan, efficientnet_lite, pico_head, picodet, pp_lcnet])
    static = paddle.jit.to_static(served, input_spec=inputs, full_graph=True)
    paddle.jit.save(static, str(folder / STEM))
    if legacy is not None:
        return export_legacy(detector, folder, STEM, size, legacy)
    return {name: sha256_of(folder / name) for name in (f"{STEM}.json", f"{STEM}.pdiparams")}


def install_detector(
    detector: PicoDet,
    pack: Pack,
    folder: Path,
    *,
    size: tuple[int, int],
    score_threshold: float,
    licence: str,
    origin: str,
    interpolation: Interpolation = "linear",
    legacy: Path | None = None,
) -> Pack:
    """A pack in `folder` with this detector and the embedder of `pack`; see `install`."""
    folder.mkdir(parents=True, exist_ok=True)
    model, params = hashes = export_detector(detector, folder, size, legacy)
    normalisation = normalisation_of(detector.architecture)
    spec = DetectorSpec(
        model=model,
        params=params,
        sha256=hashes,
        input_size=size,
        interpolation=interpolation,
        **asdict(normalisation),
        score_threshold=score_threshold,
        max_results=pack.detector.max_results,
        licence=licence,
        origin=origin,
    )
    description = f"PicoDet for {size[0]} x {size[1]} px, with the embedder of {pack.name}"
    return install(spec, pack, folder, description=description)


def main(
    weights: Annotated[Path, typer.Argument(help="A .pdparams file, ours or the reference's.")],
    pack: Annotated[Path, typer.Option("--from", help="Folder of the pack with the embedder.")],
    to: To,
    size: Annotated[int, typer.Option(help="Side of the square input, in pixels.")],
    licence: Annotated[str, typer.Option(help="Of the weights.")],
    origin: Annotated[str, typer.Option(help="Where they come from and how they were made.")],
    score_threshold: Annotated[
        float, typer.Option(help="Boxes below are not served.")
    ] = SCORE_THRESHOLD,
    interpolation: Annotated[
        Interpolation, typer.Option(help="How photographs are scaled to the input.")
    ] = "linear",
    legacy: Legacy = None,
) -> None:
    """Export a PicoDet's weights into a pack."""
    check_target(to)
    with replacing(to) as folder:
        written = install_detector(
            detector_from(read_weights(weights)),
            Pack.load(pack),
            folder,
            size=(size, size),
            score_threshold=score_threshold,
            licence=licence,
            origin=origin,
            interpolation=interpolation,
            legacy=legacy,
        )
    print(f"{to}: {written.detector.model}, {size} x {size}")


if __name__ == "__main__":
    start(main)
