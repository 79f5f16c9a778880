"""A pack of PP-ShiTuV2's official architectures with weights drawn from a seed.

    python -m bench.official FOLDER

Its passes take as long as those of the official weights, which not every machine can download.
What it sees means nothing, so its detector is made to give boxes: of its four levels only that of
stride 32, whose boxes are as large as products, has scores above the threshold, in half its cells.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from bench.packs import OFFICIAL
from models.nets.picodet import MAINBODY_SIZE, PicoDet
from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu
from models.pack import DetectorSpec, EmbedderSpec, Pack, PackManifest
from models.training.export_detector import export_detector
from models.training.export_embedder import INPUT_SIZE, export_embedder
from models.training.normalisation import IMAGENET

BOXES = 4
_LEVEL = 2
_MEDIAN_SCORE = 0.05  # above what both sides' thresholds and the graph's own keep
_NO_SCORE = -20.0
_IMAGENET = asdict(IMAGENET)
_ORIGIN: dict[str, Any] = {"licence": "Apache-2.0", "origin": "drawn from a seed by bench.official"}


def seeded_detector() -> PicoDet:
    """PicoDet-LCNet x2.5 that gives boxes, whatever it is shown."""
    detector = PicoDet()
    detector.eval()
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, 3, MAINBODY_SIZE, MAINBODY_SIZE), dtype=np.float32)
    head = detector.head
    with paddle.no_grad():
        maps = detector.neck(detector.backbone(paddle.to_tensor(image))[-detector.levels :])
        logits = head.scores[_LEVEL](head.score_towers[_LEVEL](maps[_LEVEL]))
    wanted = float(np.log(_MEDIAN_SCORE / (1 - _MEDIAN_SCORE)))
    for level, layer in enumerate(head.scores):
        shift = wanted - float(logits.median()) if level == _LEVEL else _NO_SCORE
        layer.bias.set_value(layer.bias + shift)
    return detector


def write(folder: Path) -> None:
    """Both networks and their `pack.toml`."""
    folder.mkdir(parents=True, exist_ok=True)
    paddle.seed(0)
    detector, embedder = seeded_detector(), PPLCNetV2ShiTu()
    manifest = PackManifest(
        name=OFFICIAL,
        version="1.0.0",
        description="PP-ShiTuV2's architectures, weights from a seed",
        detector=DetectorSpec(
            model="detector.json",
            params="detector.pdiparams",
            sha256=export_detector(detector, folder, (MAINBODY_SIZE, MAINBODY_SIZE)),
            input_size=(MAINBODY_SIZE, MAINBODY_SIZE),
            interpolation="cubic",
            score_threshold=0.0,
            max_results=BOXES,
            **_IMAGENET,
            **_ORIGIN,
        ),
        embedder=EmbedderSpec(
            model="embedder.json",
            params="embedder.pdiparams",
            sha256=export_embedder(embedder, folder),
            input_size=INPUT_SIZE,
            interpolation="linear",
            dimension=512,
            match_threshold=0.5,
            ambiguous_margin=0.02,
            **_IMAGENET,
            **_ORIGIN,
        ),
    )
    Pack.write(folder, manifest)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
