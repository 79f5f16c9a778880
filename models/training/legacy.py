"""Export in Paddle's legacy format (`.pdmodel`), which older runtimes read.

Paddle 3 only reads it, so another environment writes it: its interpreter is asked for, as in

    python3.11 -m venv paddle-2.6.2
    paddle-2.6.2/bin/python -m pip install paddlepaddle==2.6.2 "numpy<2" setuptools
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import paddle
import typer

from models.errors import ModelError
from models.pack import sha256_of
from models.session import Session

REPOSITORY = Path(__file__).parents[2]
_EQUAL = 1e-3  # of the largest value: the formats run other kernels

Legacy = Annotated[
    Path | None,
    typer.Option(help="Write .pdmodel, by this interpreter of a Paddle 2.6.2 environment."),
]


def export_legacy(
    network: paddle.nn.Layer, folder: Path, stem: str, size: tuple[int, int], python: Path
) -> dict[str, str]:
    """Write `stem`.pdmodel and `stem`.pdiparams instead of the `.json` that is in `folder`.

    Args:
        network: the PicoDet or the embedder that was exported, folded as it was.
        folder: holds `stem`.json and `stem`.pdiparams of the same network.
        stem: of the files.
        size: of the input (height, width).
        python: interpreter of an environment with Paddle 2.6.2.

    Returns:
        sha256 by file name.

    Raises:
        ModelError: the interpreter fails, or its program answers otherwise than the new format.
    """
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    with tempfile.TemporaryDirectory() as temporary:
        written = Path(temporary)
        np.savez(written / "weights.npz", **weights)
        arguments = (written / "weights.npz", written, stem, *size)
        done = subprocess.run(
            [str(python), "-m", "models.training.legacy_program", *map(str, arguments)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise ModelError(f"{python} could not write the legacy format: {lines[-1]}")
        files = [written / f"{stem}.pdmodel", written / f"{stem}.pdiparams"]
        _compare(folder / f"{stem}.json", files[0], size)
        (folder / f"{stem}.json").unlink()
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())
    return {file.name: sha256_of(folder / file.name) for file in files}


def _compare(new: Path, legacy: Path, size: tuple[int, int]) -> None:
    probe = np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32)
    answers = []
    for model in (new, legacy):
        session = Session(model, model.with_suffix(".pdiparams"), threads=2)
        feeds = {
            name: np.ones((1, 2), np.float32) if name == "scale_factor" else probe
            for name in session.inputs
        }
        answers.append(session.run(feeds))
    for a, b in zip(*answers, strict=True):
        if a.shape != b.shape or np.abs(a - b).max(initial=0) > _EQUAL * np.abs(a).max(initial=1):
            raise ModelError("The legacy program answers otherwise than the new one")
