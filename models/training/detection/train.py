"""Train a main-body detector and put it into a pack.

    python -m models.training.detection.train --data ANNOTATIONS --from PACK --run FOLDER --to PACK

Data is in COCO format: annotation files, images beside them; every box is a main body. A run that
was stopped goes on when the same command is given again.
"""

from itertools import islice
from pathlib import Path
from typing import Annotated, cast, get_args

import paddle
import typer

from models.errors import ModelError
from models.nets.picodet import Architecture, Backbone, PicoDet
from models.pack import Interpolation, Pack
from models.training.detection.batch_norms import is_folded, with_batch_norms
from models.training.detection.batches import MULTI_SCALE_STEP
from models.training.detection.coco import Record, read_coco, split
from models.training.detection.composition import read_cutouts
from models.training.detection.trainer import DetectorSettings, DetectorTask
from models.training.detection.weights import (
    detector_from,
    load_backbone,
    read_backbone,
    read_exported,
    read_weights,
)
from models.training.export_detector import SCORE_THRESHOLD, install_detector
from models.training.installation import check_settings, check_target, replacing
from models.training.program import (
    LearningRate,
    Licence,
    PerhapsTo,
    Run,
    Threads,
    multiple_of,
    start,
)
from models.training.trainer import BEST, Trainer

# The published rate of 0.4 belongs to batches of 8 x 56 images.
RATE_AN_IMAGE = 0.4 / 448
# Our own detector; the official one is x2.5, 128 channels, 640 px.
OWN = Architecture(scale=1.0, channels=96)
OWN_SIZE = 320
# Of a batch norm that was folded.
STATISTICS_BATCHES = 16


def initial_detector(
    pack: Pack, weights: Path | None, backbone: Path | None, architecture: Architecture | None
) -> PicoDet:
    """What training starts from.

    That is `weights` where given; else, unless an architecture or backbone weights are asked for,
    the pack's own; else random numbers, perhaps behind backbone weights.

    Raises:
        ModelError: weights that cannot be read or do not fit.
    """
    if weights is not None:
        return detector_from(read_weights(weights))
    if architecture is None and backbone is None:
        return detector_from(read_exported(pack.folder / pack.detector.model))
    network = PicoDet(architecture or OWN)
    if backbone is not None:
        load_backbone(network, read_backbone(backbone))
    return network


def read_data(
    annotations: list[Path], validation: Path | None
) -> tuple[list[Record], list[Record]]:
    """Records to train on and to validate with; without a file for those, a fifth of the first.

    Raises:
        ModelError: a file is not COCO's.
    """
    records = [record for path in annotations for record in read_coco(path)]
    return split(records) if validation is None else (records, read_coco(validation))


def main(
    data: Annotated[list[Path], typer.Option(help="COCO annotation file; may be repeated.")],
    pack: Annotated[
        Path, typer.Option("--from", help="Folder of the pack whose detector is trained further.")
    ],
    run: Run,
    to: PerhapsTo = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="COCO annotation file; else a fifth of the data is kept out."),
    ] = None,
    cutouts: Annotated[
        Path | None, typer.Option(help="Folder of PNGs with transparency to paste in.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Start from a .pdparams file instead of the pack's weights.")
    ] = None,
    backbone_weights: Annotated[
        Path | None, typer.Option(help="Start anew behind an ImageNet classifier's weights.")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Start anew: backbone:scale:channels, as pp_lcnet:1.0:96; of EfficientNet-Lite "
            "perhaps only the first blocks: efficientnet_lite:0:96:12."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=2 * MULTI_SCALE_STEP,
            callback=multiple_of(MULTI_SCALE_STEP),
            help="Side of the square input, in pixels: a multiple of 32.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1)] = 16,
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    learning_rate: LearningRate = None,
    static_epochs: Annotated[
        int, typer.Option(min=0, help="First epochs that assign by ATSS.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Threads = 2,
    score_threshold: Annotated[
        float | None,
        typer.Option(
            help="Boxes below are not served; by default the pack's, or if started anew "
            f"{SCORE_THRESHOLD}."
        ),
    ] = None,
    licence: Licence = "Apache-2.0",
) -> None:
    """Train a main-body detector on COCO data and write it into a pack."""
    paddle.seed(seed)
    source = Pack.load(pack)
    if to is not None:
        check_target(to)
    network = initial_detector(
        source, weights, backbone_weights, None if architecture is None else parsed(architecture)
    )
    anew = architecture is not None or backbone_weights is not None
    if score_threshold is None:
        score_threshold = SCORE_THRESHOLD if anew else source.detector.score_threshold
    interpolation: Interpolation = "linear" if anew else source.detector.interpolation
    side = size
    if side is None:
        side = source.detector.input_size[0] if architecture is None else OWN_SIZE
    check_settings(
        source.detector,
        input_size=(side, side),
        score_threshold=score_threshold,
        licence=licence,
    )
    train, kept_out = read_data(data, validation)
    if dropped := sum(record.dropped for record in (*train, *kept_out)):
        print(
            f"{dropped} boxes are not used: they lie outside their image, are less than a pixel "
            "wide or high, or are no numbers"
        )
    settings = DetectorSettings(
        size=side,
        batch=batch,
        epochs=epochs,
        learning_rate=RATE_AN_IMAGE * batch if learning_rate is None else learning_rate,
        seed=seed,
        static_epochs=static_epochs,
        interpolation=interpolation,
        threads=threads,
    )
    pasted = [] if cutouts is None else read_cutouts(cutouts)
    task = DetectorTask(network, train, kept_out, settings, pasted)
    if is_folded(network):
        first = islice(task.batches(epoch=0, start=0), STATISTICS_BATCHES)
        task.network = with_batch_norms(network, map(task.images, first))
    best = Trainer(task, run).run()
    if to is None:
        return
    files = [path.name for path in (weights, backbone_weights) if path is not None]
    start = ", ".join([*files, *([architecture] if architecture else [])]) or source.name
    with replacing(to) as folder:
        install_detector(
            detector_from(read_weights(run / BEST)),
            source,
            folder,
            size=(side, side),
            score_threshold=score_threshold,
            interpolation=interpolation,
            licence=licence,
            origin=(
                f"trained by TillSight from {start} on "
                # Where the data lies on this machine is nobody's business.
                f"{', '.join(f'{path.absolute().parent.name}/{path.name}' for path in data)}: "
                f"{epochs} epochs, batch {batch}, seed {seed}; "
                f"AP {best['ap']:.3f}, AP50 {best['ap50']:.3f} on {len(kept_out)} images kept out"
            ),
        )
    print(f"{to}: detector for {side} x {side} px, AP {best['ap']:.3f}")


def parsed(text: str) -> Architecture:
    """`backbone:scale:channels`, perhaps with `:blocks`, as an architecture.

    Raises:
        ModelError: it is none.
    """
    try:
        backbone, scale, channels, *blocks = text.split(":")
        if len(blocks) > 1:
            raise ValueError(text)
        if backbone not in get_args(Backbone):
            raise ValueError(backbone)
        kept = int(blocks[0]) if blocks else None
        return Architecture(cast(Backbone, backbone), float(scale), int(channels), blocks=kept)
    except ValueError as error:
        raise ModelError(
            f"{text!r} is no architecture; an example is pp_lcnet:1.0:96, another "
            "efficientnet_lite:0:96:12"
        ) from error


if __name__ == "__main__":
    start(main)
