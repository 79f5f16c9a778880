"""The reference's training checkpoint of the main-body detector, renamed for our PicoDet.

`picodet_PPLCNet_x2_5_mainbody_lite_v1.0_pretrained.pdparams`, written by PaddleDetection 2.x. The
names in `REFERENCE_NAMES` are read off its published source (backbone LCNet, neck CSPPAN, head
PicoHead with shared towers).
"""

import re
from collections.abc import Iterable

import numpy as np

from models.training.state_dict import Weights

# Patterns in the reference's names → ours, all applied, in this order. What no row touches is
# called the same: convolution and norm inside a ConvNorm, tensors inside a norm.
REFERENCE_NAMES = (
    # Where a part is.
    (r"^backbone\.conv1\.", "backbone.stem."),
    *((rf"^backbone\.blocks{stage + 2}\.", f"backbone.stages.{stage}.") for stage in range(5)),
    (r"^neck\.conv_t\.convs\.", "neck.lateral."),
    (r"^neck\.top_down_blocks\.", "neck.top_down."),
    (r"^neck\.downsamples\.", "neck.down."),
    (r"^neck\.bottom_up_blocks\.", "neck.bottom_up."),
    (r"^neck\.first_top_conv\.", "neck.extra_input."),
    (r"^neck\.second_top_conv\.", "neck.extra_output."),
    (r"^head\.conv_feat\.cls_conv_dw(\d)\.(\d)\.", r"head.score_towers.\1.\2.depthwise."),
    (r"^head\.conv_feat\.cls_conv_pw(\d)\.(\d)\.", r"head.score_towers.\1.\2.pointwise."),
    (r"^head\.head_cls(\d)\.", r"head.scores.\1."),
    (r"^head\.distribution_project\.project$", "head.bins"),
    # What it is: blocks of the backbone, CSP layers, depthwise separable pairs, head norms.
    (r"\.dw_conv\.", ".depthwise."),
    (r"\.pw_conv\.", ".pointwise."),
    (r"\.se\.conv1\.", ".squeeze.reduce."),
    (r"\.se\.conv2\.", ".squeeze.expand."),
    (r"\.main_conv\.", ".main."),
    (r"\.short_conv\.", ".short."),
    (r"\.final_conv\.", ".join."),
    (r"\.blocks\.0\.conv1\.", ".bottleneck.0."),
    (r"\.blocks\.0\.conv2\.", ".bottleneck.1."),
    (r"\.dwconv\.", ".depthwise.conv."),
    (r"\.bn1\.", ".depthwise.bn."),
    (r"\.pwconv\.", ".pointwise.conv."),
    (r"\.bn2\.", ".pointwise.bn."),
    (r"\.norm\.", ".bn."),
)


def is_reference(names: Iterable[str]) -> bool:
    """Whether a state dict with these names was written by the reference."""
    return "backbone.conv1.conv.weight" in names


def our_name(reference: str) -> str:
    """Our name of one of the reference's tensors; names it does not know come back unchanged."""
    for pattern, ours in REFERENCE_NAMES:
        reference = re.sub(pattern, ours, reference)
    return reference


def our_weights(reference: Weights) -> Weights:
    """The reference's state dict under our names.

    With shared towers the reference predicts scores and sides in one convolution, whose first
    output is the score; ours are two.
    """
    weights: Weights = {}
    for name, tensor in ((our_name(name), tensor) for name, tensor in reference.items()):
        if name.startswith("head.scores."):
            weights[name], weights[name.replace("scores", "sides")] = np.split(tensor, [1])
        else:
            weights[name] = tensor
    return weights
