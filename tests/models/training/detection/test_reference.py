"""The reference's checkpoint: names and shapes from its source, values of our own."""

import numpy as np
import paddle
import pytest

from models.errors import ModelError
from models.nets.picodet import MAINBODY, Architecture, PicoDet
from models.training.detection.reference import our_weights
from models.training.detection.weights import (
    detector_from,
    load_backbone,
    read_backbone,
    read_weights,
)
from models.training.state_dict import load_weights

WIDTH = 128
# PP-LCNet x2.5 in PaddleDetection: block list, (kernel, inputs, outputs, squeeze-excite).
BACKBONE = {
    "blocks2": [(3, 40, 80, False)],
    "blocks3": [(3, 80, 160, False), (3, 160, 160, False)],
    "blocks4": [(3, 160, 320, False), (3, 320, 320, False)],
    "blocks5": [(3, 320, 640, False)] + 5 * [(5, 640, 640, False)],
    "blocks6": [(5, 640, 1280, True), (5, 1280, 1280, True)],
}


def norm(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "_mean", "_variance")}


def conv_bn(name, inputs, outputs, kernel, bn="bn"):
    shape = (outputs, inputs, kernel, kernel)
    return {f"{name}.conv.weight": shape} | norm(f"{name}.{bn}", outputs)


def dp_module(name, channels):
    return (
        {f"{name}.dwconv.weight": (channels, 1, 5, 5)}
        | norm(f"{name}.bn1", channels)
        | {f"{name}.pwconv.weight": (channels, channels, 1, 1)}
        | norm(f"{name}.bn2", channels)
    )


def csp_layer(name):
    half = WIDTH // 2
    return (
        conv_bn(f"{name}.main_conv", 2 * WIDTH, half, 1)
        | conv_bn(f"{name}.short_conv", 2 * WIDTH, half, 1)
        | conv_bn(f"{name}.final_conv", WIDTH, WIDTH, 1)
        | conv_bn(f"{name}.blocks.0.conv1", half, half, 1)
        | dp_module(f"{name}.blocks.0.conv2", half)
    )


def reference_shapes():
    """Shape by name of the whole checkpoint."""
    shapes = conv_bn("backbone.conv1", 3, 40, 3)
    for stage, blocks in BACKBONE.items():
        for position, (kernel, inputs, outputs, squeeze) in enumerate(blocks):
            name = f"backbone.{stage}.{position}"
            shapes |= conv_bn(f"{name}.dw_conv", 1, inputs, kernel)
            shapes |= conv_bn(f"{name}.pw_conv", inputs, outputs, 1)
            if squeeze:
                for conv, to, of in (
                    ("conv1", inputs // 4, inputs),
                    ("conv2", inputs, inputs // 4),
                ):
                    shapes[f"{name}.se.{conv}.weight"] = (to, of, 1, 1)
                    shapes[f"{name}.se.{conv}.bias"] = (to,)
    for level, channels in enumerate((320, 640, 1280)):
        shapes |= conv_bn(f"neck.conv_t.convs.{level}", channels, WIDTH, 1)
    for position in range(2):
        shapes |= csp_layer(f"neck.top_down_blocks.{position}")
        shapes |= csp_layer(f"neck.bottom_up_blocks.{position}")
        shapes |= dp_module(f"neck.downsamples.{position}", WIDTH)
    for name in ("first_top_conv", "second_top_conv"):
        shapes |= dp_module(f"neck.{name}", WIDTH)
    for level in range(4):
        for block in range(4):
            place = f"{level}.{block}"
            shapes |= conv_bn(f"head.conv_feat.cls_conv_dw{place}", 1, WIDTH, 5, "norm")
            shapes |= conv_bn(f"head.conv_feat.cls_conv_pw{place}", WIDTH, WIDTH, 1, "norm")
        shapes[f"head.head_cls{level}.weight"] = (1 + 4 * 8, WIDTH, 1, 1)
        shapes[f"head.head_cls{level}.bias"] = (1 + 4 * 8,)
    shapes["head.distribution_project.project"] = (8,)
    return shapes


@pytest.fixture(scope="module")
def reference():
    """Every tensor filled with numbers that say which tensor and which element it is."""
    return {
        name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 1000 + 1000 * number
        for number, (name, shape) in enumerate(reference_shapes().items())
    }


def test_every_tensor_of_the_checkpoint_lands_in_the_network(tmp_path, reference):
    path = tmp_path / "picodet_PPLCNet_x2_5_mainbody_lite_v1.0_pretrained.pdparams"
    paddle.save({name: paddle.to_tensor(tensor) for name, tensor in reference.items()}, str(path))
    network = detector_from(read_weights(path))
    assert network.architecture == MAINBODY
    ours = {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    # All that came is there, and nothing else: element for element, counted by value.
    arrived = np.sort(np.concatenate([tensor.ravel() for tensor in ours.values()]))
    sent = np.sort(np.concatenate([tensor.ravel() for tensor in reference.values()]))
    assert np.array_equal(arrived, sent)
    for theirs, name in (
        ("backbone.conv1.conv.weight", "backbone.stem.conv.weight"),
        ("backbone.blocks2.0.dw_conv.bn._mean", "backbone.stages.0.0.depthwise.bn._mean"),
        ("backbone.blocks5.3.pw_conv.conv.weight", "backbone.stages.3.3.pointwise.conv.weight"),
        ("backbone.blocks6.1.se.conv2.bias", "backbone.stages.4.1.squeeze.expand.bias"),
        ("neck.conv_t.convs.2.bn.weight", "neck.lateral.2.bn.weight"),
        ("neck.top_down_blocks.1.short_conv.conv.weight", "neck.top_down.1.short.conv.weight"),
        (
            "neck.bottom_up_blocks.0.blocks.0.conv2.bn1._variance",
            "neck.bottom_up.0.bottleneck.1.depthwise.bn._variance",
        ),
        ("neck.downsamples.1.pwconv.weight", "neck.down.1.pointwise.conv.weight"),
        ("neck.first_top_conv.dwconv.weight", "neck.extra_input.depthwise.conv.weight"),
        ("neck.second_top_conv.bn2.bias", "neck.extra_output.pointwise.bn.bias"),
        (
            "head.conv_feat.cls_conv_pw2.3.norm.bias",
            "head.score_towers.2.3.pointwise.bn.bias",
        ),
        ("head.distribution_project.project", "head.bins"),
    ):
        assert np.array_equal(ours[name], reference[theirs]), name
    both = reference["head.head_cls3.weight"]
    assert np.array_equal(ours["head.scores.3.weight"], both[:1])
    assert np.array_equal(ours["head.sides.3.weight"], both[1:])


def test_the_published_size_is_that_of_the_reference(reference):
    assert round(sum(tensor.size for tensor in reference.values()) / 1e6, 1) == 7.1


def test_weights_of_another_network_are_refused(reference):
    weights = our_weights(reference)
    with pytest.raises(ModelError, match=r"instead of \[128"):
        load_weights(PicoDet(MAINBODY), weights | {"neck.lateral.0.bn.bias": np.zeros(3)})
    weights.pop("backbone.stem.conv.weight")
    with pytest.raises(ModelError, match=r"1 faults: missing backbone\.stem\.conv\.weight"):
        load_weights(PicoDet(MAINBODY), weights)
    with pytest.raises(ModelError, match=r"64 faults: unknown head\.score_towers\.3"):
        load_weights(PicoDet(Architecture(strides=(8, 16, 32))), our_weights(reference))


def test_a_backbone_starts_from_the_published_classifier(tmp_path, reference):
    # The classifier calls its trunk as the detector does, without the prefix.
    prefix = "backbone."
    classifier = {
        name.removeprefix(prefix): paddle.to_tensor(tensor)
        for name, tensor in reference.items()
        if name.startswith(prefix)
    } | {"last_conv.weight": paddle.zeros([1280, 1280, 1, 1]), "fc.bias": paddle.zeros([1000])}
    path = tmp_path / "PPLCNet_x2_5_ssld_pretrained.pdparams"
    paddle.save(classifier, str(path))
    network = PicoDet(MAINBODY)
    before = network.head.scores[0].weight.numpy()
    load_backbone(network, read_backbone(path))
    ours = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    expected = our_weights(reference)
    trunk = [name for name in ours if name.startswith(prefix)]
    assert len(trunk) == len(classifier) - 2
    assert all(np.array_equal(ours[name], expected[name]) for name in trunk)
    assert np.array_equal(ours["head.scores.0.weight"], before)
    with pytest.raises(ModelError, match="do not fit"):
        load_backbone(PicoDet(Architecture(scale=1.0)), read_backbone(path))
