"""Run by Paddle 2.6.2, which still writes `.pdmodel`: a network's weights in, a program out.

    PYTHON -m models.training.legacy_program WEIGHTS.npz FOLDER STEM HEIGHT WIDTH

The weights tell what the network is. That environment has Paddle and NumPy, and nothing else of
this project's.
"""

import sys
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.base.layer_helper import LayerHelper
from paddle.static import InputSpec

from models.nets.efficientnet_lite import PooledLinear, StagesLinear
from models.nets.picodet import PicoDet
from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu
from models.training.detection.serving import NMS, ServedDetector
from models.training.detection.weights import detector_from
from models.training.embedding.weights import embedder_from


class LegacyServedDetector(ServedDetector):
    """The same, its NMS added to the program as an operator: 2.6 cannot trace the function."""

    def nms(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        helper = LayerHelper("multiclass_nms3")
        found = helper.create_variable_for_type_inference("float32")
        index = helper.create_variable_for_type_inference("int32")
        counts = helper.create_variable_for_type_inference("int32")
        helper.append_op(
            type="multiclass_nms3",
            inputs={"BBoxes": boxes, "Scores": scores},
            attrs=NMS,
            outputs={"Out": found, "Index": index, "NmsRoisNum": counts},
        )
        return found, counts


def forget_call_stacks(model: Path) -> None:
    """Empty the attribute in which Paddle 2 keeps, for every operator, where it was made."""
    program = paddle.base.core.ProgramDesc(model.read_bytes())
    for number in range(program.num_blocks()):
        block = program.block(number)
        for position in range(block.op_size()):
            block.op(position)._set_attr("op_callstack", [""])
    model.write_bytes(program.serialize_to_string())


def write(weights: Path, folder: Path, stem: str, size: tuple[int, int]) -> None:
    """Write `stem`.pdmodel and `stem`.pdiparams."""
    tensors = dict(np.load(weights))
    images = [None, 3, *size]
    network: nn.Layer
    if any(name.startswith("head.scores.") for name in tensors):
        network = LegacyServedDetector(detector_from(tensors), size)
        inputs = [
            InputSpec(images, "float32", "image"),
            InputSpec([None, 2], "float32", "scale_factor"),
        ]
    else:
        network = embedder_from(tensors)
        inputs = [InputSpec(images, "float32", "x")]
    network.eval()
    # As for the export in the new format: tracing is enough, and 2.6 rewrites what is not marked.
    for kind in (PicoDet, PPLCNetV2ShiTu, PooledLinear, StagesLinear):
        paddle.jit.not_to_static(kind.forward)
    static = paddle.jit.to_static(network, input_spec=inputs, full_graph=True)
    paddle.jit.save(static, str(folder / stem))
    # What belongs to further training, not to inference.
    (folder / f"{stem}.pdiparams.info").unlink()
    forget_call_stacks(folder / f"{stem}.pdmodel")


if __name__ == "__main__":
    source, target, name, height, width = sys.argv[1:]
    write(Path(source), Path(target), name, (int(height), int(width)))
