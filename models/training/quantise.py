"""A pack in int8, for OpenVINO on processors with VNNI: quantised after training.

    tillsight train int8 PICTURES --from PACK --to FOLDER

NNCF (https://github.com/openvinotoolkit/nncf) sets the ranges of weights and activations so that
they fit the pictures: photographs of the shop, as its camera takes them. Vectors differ from those
of the pack it was made of, so it has a fingerprint of its own and a gallery is embedded again.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models import openvino_engine
from models.detector import Detector
from models.embedder import Embedder, Vectors
from models.errors import ModelError
from models.pack import NetworkSpec, Pack, sha256_of
from models.pixels import to_rgb
from models.preprocess import Preprocessor
from models.processor import available_cores
from models.session import Engine
from models.training.detection.boxes import iou
from models.training.installation import check_target, replacing
from models.training.open_data import Corners
from models.training.photographs import is_photograph, opened
from models.training.program import start

FEWEST = 30  # pictures; below, ranges are those of single photographs
MOST = 300  # more change little and take their time
LONGEST = 1600  # pixels; more than either network takes
CHECKED = 5  # every so manieth picture is not calibrated on, but compared
SAME_BOX = 0.5  # IoU

RGB = NDArray[np.uint8]


def load_pictures(folder: Path) -> list[RGB]:
    """At most MOST pictures below a folder, evenly taken, upright.

    Raises:
        ModelError: there are fewer than FEWEST, or one is no image.
    """
    paths = sorted(path for path in folder.rglob("*") if is_photograph(path))
    if len(paths) < FEWEST:
        raise ModelError(f"{folder} holds {len(paths)} pictures; at least {FEWEST} are needed")
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(MOST, len(paths))).astype(int))
    return [_load(paths[place]) for place in chosen]


def quantise(pack: Pack, pictures: Sequence[RGB], folder: Path) -> Pack:
    """A pack in `folder` with the networks of `pack` in int8; its thresholds are kept.

    Raises:
        ModelError: NNCF or OpenVINO is not installed, a network does not run, or nothing can be
            written there.
    """
    bodies = [*pictures, *_bodies(pack, pictures)]
    with replacing(folder) as new:
        specs = {
            "detector": _quantised(pack, pack.detector, pictures, new / "detector.xml"),
            "embedder": _quantised(pack, pack.embedder, bodies, new / "embedder.xml"),
        }
        told = f"{pack.name} in int8, calibrated on {len(pictures)} pictures: for OpenVINO"
        described = {"name": folder.name, "description": told}
        manifest = pack.manifest.model_copy(update={**described, **specs})
        Pack.write(new, manifest)
    return Pack.load(folder)


def compare(pack: Pack, quantised: Pack, pictures: Sequence[RGB]) -> tuple[float, float]:
    """Median cosine of the vectors of both packs, and the share of boxes that are kept."""
    engine: Engine = "openvino-fp32"
    vectors, boxes = zip(
        *(_answers(one, pictures, engine) for one in (pack, quantised)), strict=True
    )
    kept = np.concatenate(
        [
            iou(ours, theirs).max(axis=1, initial=0) >= SAME_BOX
            for ours, theirs in zip(*boxes, strict=True)
        ]
    )
    cosines = (vectors[0] * vectors[1]).sum(axis=1)
    return float(np.median(cosines)), float(kept.mean()) if kept.size else 1.0


def _quantised(pack: Pack, spec: NetworkSpec, pictures: Sequence[RGB], target: Path) -> NetworkSpec:
    nncf = _nncf()
    model = openvino_engine.read(pack.folder / spec.model, pack.folder / spec.params)
    names = {port.any_name for port in model.inputs}
    preprocessor = Preprocessor(spec)

    def feeds(picture: RGB) -> dict[str, NDArray[np.float32]]:
        pixels = preprocessor.batch(1)
        preprocessor.write(picture, pixels[0])
        sizes = {
            "scale_factor": np.ones((1, 2), np.float32),
            "im_shape": np.asarray([spec.input_size], np.float32),
        }
        return {name: sizes.get(name, pixels) for name in names}

    made = nncf.quantize(
        model,
        nncf.Dataset(list(pictures), feeds),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
    )
    import openvino

    openvino.save_model(made, target, compress_to_fp16=False)
    files = (target.name, target.with_suffix(".bin").name)
    return spec.model_copy(
        update={
            "model": files[0],
            "params": files[1],
            "sha256": {name: sha256_of(target.with_name(name)) for name in files},
            "origin": f"{spec.origin}; int8 by NNCF {nncf.__version__}",
        }
    )


def _nncf() -> Any:
    # It tells its makers over the network that it is used, but not in continuous integration.
    os.environ["CI"] = "true"
    try:
        import nncf
    except ImportError as error:
        raise ModelError("NNCF is not installed: .venv/bin/pip install -e '.[train]'") from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def _bodies(pack: Pack, pictures: Sequence[RGB]) -> list[RGB]:
    """The best body of each picture that has one, as the embedder sees it in service."""
    with closing(Detector(pack, available_cores())) as detector:
        bodies = [detector.best_body(picture) for picture in pictures]
    return [body for body in bodies if body is not None]


def _answers(
    pack: Pack, pictures: Sequence[RGB], engine: Engine
) -> tuple[Vectors, list[list[Corners]]]:
    threads = available_cores()
    with (
        closing(Detector(pack, threads, engine)) as detector,
        closing(Embedder(pack, threads, engine)) as embedder,
    ):
        vectors, _ = embedder.embed(pictures)
        found = [detector.detect(picture)[0] for picture in pictures]
    return vectors, [[astuple(detection.box) for detection in bodies] for bodies in found]


def _load(path: Path) -> RGB:
    with opened(path) as image:
        upright = Image.fromarray(to_rgb(ImageOps.exif_transpose(image)))
    upright.thumbnail((LONGEST, LONGEST))
    return np.asarray(upright)


def main(
    pictures: Annotated[Path, typer.Argument(help="A folder with photographs of the shop.")],
    pack: Annotated[Path, typer.Option("--from", help="Folder of the pack to quantise.")],
    to: Annotated[Path, typer.Option(help="Folder of the pack to write.")],
) -> None:
    """Write a pack in int8, calibrated on photographs, and compare it with the one it is of."""
    check_target(to)
    source, images = Pack.load(pack), load_pictures(pictures)
    written = quantise(source, [i for n, i in enumerate(images) if n % CHECKED], to)
    cosine, kept = compare(source, written, images[::CHECKED])
    print(
        f"{written.folder}: on {len(images[::CHECKED])} other pictures vectors have a cosine of "
        f"{cosine:.3f} (median) to those before, and {kept:.0%} of the boxes are kept (IoU 0.5).\n"
        f"Serve it: TILLSIGHT_PACK={written.name} TILLSIGHT_ENGINE=openvino-fp32; "
        "before that, embed the gallery again: tillsight gallery reembed"
    )


if __name__ == "__main__":
    start(main)
