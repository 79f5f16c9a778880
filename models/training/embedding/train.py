"""Train a feature extractor and put it into a pack.

    python -m models.training.embedding.train --data DATA --from PACK --run FOLDER --to PACK

Data is a folder with one folder per product, or a CSV file with the columns path and product. A run
that was stopped goes on when the same command is given again.
"""

from pathlib import Path
from typing import Annotated, cast, get_args

import paddle
import typer

from models.errors import ModelError
from models.nets.efficientnet_lite import SCALES, EfficientNetLite, PooledLinear
from models.nets.pp_lcnet_v2 import EMBEDDING_CHANNELS, PPLCNetV2ShiTu, SizeName
from models.pack import Pack
from models.training.convert import efficientnet_lite
from models.training.embedding.calibration import calibrated
from models.training.embedding.pictures import read_pictures, split
from models.training.embedding.reference import load_trunk, our_weights
from models.training.embedding.sampler import IMAGES_OF_IDENTITY
from models.training.embedding.teachers import teacher_from
from models.training.embedding.trainer import EmbedderSettings, EmbedderTask
from models.training.embedding.weights import (
    Embedder,
    embedder_from,
    normalisation_of,
    read_exported,
)
from models.training.export_embedder import install_embedder
from models.training.installation import check_settings, check_target, replacing
from models.training.normalisation import Normalisation
from models.training.program import (
    LearningRate,
    Licence,
    PerhapsTo,
    Run,
    Threads,
    multiple_of,
    positive,
    start,
)
from models.training.state_dict import read_state_dict
from models.training.trainer import BEST, Trainer

# The published rate of 0.06 belongs to batches of 8 x 256 images.
RATE_AN_IMAGE = 0.06 / 2048


def initial_embedder(
    pack: Pack, weights: Path | None, trunk: Path | None, architecture: str | None
) -> Embedder:
    """What training starts from.

    That is `weights` where given; else, unless an architecture is asked for, the pack's own; else
    random numbers, perhaps behind the trunk of an ImageNet classifier.

    Raises:
        ModelError: weights that cannot be read or do not fit.
    """
    if weights is not None:
        return embedder_from(read_state_dict(weights))
    if architecture is None:
        if trunk is not None:
            raise ModelError("Say with --architecture which network the trunk is of")
        return read_exported(pack.folder / pack.embedder.model)
    network = parsed(architecture)
    if trunk is None:
        return network
    if isinstance(network, PPLCNetV2ShiTu):
        load_trunk(network, our_weights(read_state_dict(trunk)))
        return network
    variant = int(architecture.partition(":")[2])
    return PooledLinear(efficientnet_lite(trunk, variant).trunk, EMBEDDING_CHANNELS)


def parsed(text: str) -> Embedder:
    """`pp_lcnet_v2:small`, `:base` or `:large`, or `efficientnet_lite:0` to `:4`, at random.

    Raises:
        ModelError: it is none.
    """
    family, _, size = text.partition(":")
    if family == "pp_lcnet_v2" and size in get_args(SizeName):
        return PPLCNetV2ShiTu(cast(SizeName, size))
    if family == "efficientnet_lite" and size in map(str, range(len(SCALES))):
        return PooledLinear(EfficientNetLite(int(size)), EMBEDDING_CHANNELS)
    raise ModelError(
        f"{text!r} is no architecture; an example is pp_lcnet_v2:base, another efficientnet_lite:0"
    )


def main(
    data: Annotated[Path, typer.Option(help="Photographs: a folder per product, or a CSV file.")],
    pack: Annotated[
        Path, typer.Option("--from", help="Folder of the pack whose embedder is trained further.")
    ],
    run: Run,
    to: PerhapsTo = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="Photographs of other products; else a fifth of them is kept out."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Start from a feature extractor's .pdparams file, ours or the reference's."
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(help="Start anew: pp_lcnet_v2:base or efficientnet_lite:0, in their sizes."),
    ] = None,
    trunk: Annotated[
        Path | None,
        typer.Option(help="Start anew behind an ImageNet classifier's weights, as published."),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Learn what is alike from this pack or .pdparams; may be repeated."),
    ] = None,
    distillation: Annotated[
        float, typer.Option(callback=positive, help="Weight of the teachers' loss.")
    ] = 10.0,
    size: Annotated[
        int | None, typer.Option(min=32, help="Side of the square input, in pixels.")
    ] = None,
    batch: Annotated[
        int,
        typer.Option(
            min=2 * IMAGES_OF_IDENTITY,
            callback=multiple_of(IMAGES_OF_IDENTITY),
            help="Images in a batch, 4 of each product.",
        ),
    ] = 64,
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    learning_rate: LearningRate = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Threads = 2,
    licence: Licence = "Apache-2.0",
) -> None:
    """Train a feature extractor to tell products apart and write it into a pack.

    To learn the products of a shop: tillsight train embedder --gallery DIR_OR_URL --to PACK.
    """
    paddle.seed(seed)
    source = Pack.load(pack)
    if to is not None:
        check_target(to)
    network = initial_embedder(source, weights, trunk, architecture)
    further = weights is None and architecture is None
    spec = source.embedder
    side = size
    if side is None:
        side = spec.input_size[0] if further else 224
    check_settings(spec, input_size=(side, side), licence=licence)
    normalisation = (
        Normalisation(spec.scale, spec.mean, spec.std) if further else normalisation_of(network)
    )
    pictures = read_pictures(data)
    train, kept_out = (
        split(pictures) if validation is None else (pictures, read_pictures(validation))
    )
    settings = EmbedderSettings(
        size=side,
        batch=batch,
        epochs=epochs,
        learning_rate=RATE_AN_IMAGE * batch if learning_rate is None else learning_rate,
        seed=seed,
        threads=threads,
        distillation=distillation if teacher else 0.0,
    )
    teachers = [teacher_from(path, threads) for path in teacher or ()]
    task = EmbedderTask(network, train, kept_out, settings, normalisation, teachers)
    before = task.evaluate(task.network) if further else None
    best = Trainer(task, run).run()
    if to is None:
        return
    if before is not None and best["recall_1"] < before["recall_1"]:
        raise ModelError(
            "No pack was written: recall@1 on kept-out products fell from "
            f"{before['recall_1']:.3f} to {best['recall_1']:.3f}. {source.name} stays the better"
        )
    files = [path.name for path in (weights, trunk) if path is not None]
    start = ", ".join([*files, *([architecture] if architecture else [])]) or source.name
    with replacing(to) as folder:
        written = install_embedder(
            embedder_from(read_state_dict(run / BEST)),
            source,
            folder,
            threshold=spec.threshold,
            ambiguous_margin=spec.ambiguous_margin,
            licence=licence,
            origin=(
                f"trained by TillSight from {start} on {data.absolute().name}, {len(train)} "
                f"photographs of {len(set(task.labels))} products: {epochs} epochs, batch {batch}, "
                f"seed {seed}; recall@1 {best['recall_1']:.3f} on {len(kept_out)} of others, "
                "kept out"
            ),
            size=(side, side),
            interpolation="area",
            normalisation=normalisation,
        )
        calibrated(written, kept_out, threads)
    print(f"{to}: embedder for {side} x {side} px, recall@1 {best['recall_1']:.3f}")


if __name__ == "__main__":
    start(main)
