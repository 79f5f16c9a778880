"""Write the legacy-format models in tests/data/legacy: `.pdmodel` files, which Paddle 3 only reads.

They hold a sigmoid: the operator that Paddle 3.2 cannot write in this format. Paddle 2.6.2 needs an
environment of its own, outside the project's:

    python3.11 -m venv /tmp/paddle-2.6.2
    /tmp/paddle-2.6.2/bin/python -m pip install paddlepaddle==2.6.2 "numpy<2" setuptools
    /tmp/paddle-2.6.2/bin/python tests/data/make_legacy_models.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "models"))

import paddle  # noqa: E402
import tiny_networks  # noqa: E402

LEGACY = HERE / "legacy"


def forget_call_stacks(model: Path) -> None:
    """Empty the attribute in which Paddle 2 keeps, for every operator, where it was made."""
    program = paddle.base.core.ProgramDesc(model.read_bytes())
    block = program.block(0)
    for position in range(block.op_size()):
        block.op(position)._set_attr("op_callstack", [""])
    model.write_bytes(program.serialize_to_string())


def main() -> None:
    LEGACY.mkdir(exist_ok=True)
    for name, network in (
        ("detector", tiny_networks.GridDetector()),
        ("detector_im_shape", tiny_networks.ClippingGridDetector()),
        ("embedder", tiny_networks.QuarterEmbedder()),
    ):
        tiny_networks.export(network, LEGACY / name)
        forget_call_stacks(LEGACY / f"{name}.pdmodel")
        # What belongs to further training, not to inference.
        (LEGACY / f"{name}.pdiparams.info").unlink()


if __name__ == "__main__":
    main()
