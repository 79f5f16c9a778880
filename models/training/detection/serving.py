"""A PicoDet with decoding and NMS: what is exported, and what evaluation runs."""

import paddle
from paddle import Tensor, nn

from models.nets.pico_head import grid
from models.nets.picodet import PicoDet

# Of PP-ShiTuV2's official export.
NMS = {
    "score_threshold": 0.025,
    "nms_top_k": 1000,
    "keep_top_k": 100,
    "nms_threshold": 0.6,
    "normalized": True,  # corners are points, not pixels: width is x2 - x1
    "nms_eta": 1.0,  # the IoU threshold stays the same
    "background_label": -1,  # none
}


class ServedDetector(nn.Layer):
    """A PicoDet for one input size (height, width), under the official contract.

    Image float32 [N, 3, H, W] and scale factors float32 [N, 2] (y, x: input size over image size)
    → boxes float32 [M, 6] (class, score, x1, y1, x2, y2) in pixels of the images, best first for
    each image, and their number for each, int32 [N].
    """

    def __init__(self, detector: PicoDet, size: tuple[int, int]) -> None:
        super().__init__()
        self.detector = detector
        centers, strides = grid(*size, detector.architecture.strides)
        self.register_buffer("centers", paddle.to_tensor(centers))
        self.register_buffer("strides", paddle.to_tensor(strides))

    def forward(self, image: Tensor, scale_factor: Tensor) -> tuple[Tensor, Tensor]:
        scores, sides = self.detector(image)
        boxes = self.detector.head.boxes(sides, self.centers, self.strides)
        x_then_y = scale_factor.flip(axis=1)
        per_corner = paddle.concat([x_then_y, x_then_y], axis=1).unsqueeze(1)
        return self.nms(boxes / per_corner, nn.functional.sigmoid(scores).unsqueeze(1))

    def nms(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, cells, 4] and scores [N, 1, cells] → what `forward` gives."""
        # The operator itself: no public function of Paddle 3.2 gives this NMS.
        found, _, counts = paddle._C_ops.multiclass_nms3(boxes, scores, None, *NMS.values())
        return found, counts
