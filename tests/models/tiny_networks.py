"""Small networks that keep PP-ShiTuV2's two serving contracts, and an exporter for them.

They answer in ways that a test can work out: the detector scores the cells of a grid by their
brightness, the embedder multiplies the mean colours of four quarters by a fixed matrix. The code
runs under Paddle 3.2 (writes `.json`) and under 2.6 (writes `.pdmodel`).
"""

from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from paddle.base.layer_helper import LayerHelper
from paddle.nn import functional
from paddle.static import InputSpec

DETECTOR_SIDE = 640
EMBEDDER_SIDE = 224
GRID = 4
DIMENSION = 512


def multiclass_nms(boxes, scores):
    """NMS with the parameters of the official export; boxes [M, 6] and counts [N]."""
    attributes = {
        "score_threshold": 0.025,
        "nms_top_k": 1000,
        "keep_top_k": 100,
        "nms_threshold": 0.6,
        "normalized": True,
        "nms_eta": 1.0,
        "background_label": -1,
    }
    if paddle.framework.in_dynamic_or_pir_mode():
        found, _, counts = paddle._C_ops.multiclass_nms3(boxes, scores, None, *attributes.values())
        return found, counts
    helper = LayerHelper("multiclass_nms3")
    found = helper.create_variable_for_type_inference("float32")
    index = helper.create_variable_for_type_inference("int32")
    counts = helper.create_variable_for_type_inference("int32")
    helper.append_op(
        type="multiclass_nms3",
        inputs={"BBoxes": boxes, "Scores": scores},
        attrs=attributes,
        outputs={"Out": found, "Index": index, "NmsRoisNum": counts},
    )
    return found, counts


class GridDetector(nn.Layer):
    """A box in each cell of a 4×4 grid, scored by the sigmoid of the cell's mean input value."""

    def __init__(self):
        super().__init__()
        self.grey = nn.Conv2D(3, 1, 1, bias_attr=False)
        self.grey.weight.set_value(np.full((1, 3, 1, 1), 1 / 3, np.float32))
        step = DETECTOR_SIDE / GRID
        cells = [
            [x * step + 16, y * step + 16, (x + 1) * step - 16, (y + 1) * step - 16]
            for y in range(GRID)
            for x in range(GRID)
        ]
        self.register_buffer("cells", paddle.to_tensor([cells], dtype="float32"))

    def detect(self, image, scale_factor):
        means = functional.adaptive_avg_pool2d(self.grey(image), GRID)
        scores = functional.sigmoid(means).reshape([0, 1, GRID * GRID])
        x_then_y = scale_factor.flip(axis=1)
        per_corner = paddle.concat([x_then_y, x_then_y], axis=1).unsqueeze(1)
        return multiclass_nms(self.cells / per_corner, scores)

    def forward(self, image, scale_factor):
        return self.detect(image, scale_factor)


class ClippingGridDetector(GridDetector):
    """The same with the third input that some exports keep, and inputs in another order."""

    def forward(self, im_shape, image, scale_factor):
        boxes, counts = self.detect(image, scale_factor)
        height_width = (im_shape / scale_factor).flip(axis=1)
        limit = paddle.concat([height_width, height_width], axis=1)[0:1]
        head, corners = boxes[:, :2], boxes[:, 2:]
        return counts, paddle.concat([head, paddle.minimum(corners, limit)], axis=1)


class QuarterEmbedder(nn.Layer):
    """Mean colours of the four quarters through a sigmoid and a fixed matrix: [N, 512]."""

    def __init__(self, dimension=DIMENSION, factor=1.0):
        super().__init__()
        self.project = nn.Linear(12, dimension)
        weight = np.random.default_rng(7).normal(size=(12, dimension)) * factor
        self.project.weight.set_value(weight.astype(np.float32))

    def forward(self, x):
        quarters = functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.project(functional.sigmoid(quarters) - 0.5)


def _image(name, side):
    return InputSpec([None, 3, side, side], "float32", name)


def _pair(name):
    return InputSpec([None, 2], "float32", name)


INPUTS = {
    GridDetector: [_image("image", DETECTOR_SIDE), _pair("scale_factor")],
    ClippingGridDetector: [
        _pair("im_shape"),
        _image("image", DETECTOR_SIDE),
        _pair("scale_factor"),
    ],
    QuarterEmbedder: [_image("x", EMBEDDER_SIDE)],
}


def export(network: nn.Layer, stem: Path) -> None:
    """Write `stem`.json or .pdmodel, whichever this Paddle writes, and `stem`.pdiparams."""
    network.eval()
    static = paddle.jit.to_static(network, input_spec=INPUTS[type(network)], full_graph=True)
    paddle.jit.save(static, str(stem))
