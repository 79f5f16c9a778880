"""The reference's checkpoints: names and shapes from its source, values of our own."""

import numpy as np
import paddle
import pytest

from models.errors import ModelError
from models.nets.pp_lcnet_v2 import PPLCNetV2Classifier, PPLCNetV2ShiTu
from models.training.embedding.reference import is_reference, load_trunk, our_name, our_weights
from models.training.state_dict import load_weights, read_state_dict

# Of the base size: inputs, outputs, kernel, depth.
STAGES = ((64, 128, 3, 2), (128, 256, 3, 2), (256, 512, 5, 6), (512, 1024, 5, 2))
# As many classes as are enough here; the published checkpoint has 192,612.
CLASSES = 7


def norm(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "_mean", "_variance")}


def conv_bn(name, inputs, outputs, kernel):
    return {f"{name}.conv.weight": (outputs, inputs, kernel, kernel)} | norm(f"{name}.bn", outputs)


def biased(name, inputs, outputs, kernel=1):
    return {f"{name}.weight": (outputs, inputs, kernel, kernel), f"{name}.bias": (outputs,)}


def block(name, inputs, outputs, kernel, *, branches=(), squeeze=False, split=False):
    if branches:
        shapes = biased(f"{name}.dw_conv", 1, inputs, kernel)
        for position, size in enumerate(branches):
            shapes |= conv_bn(f"{name}.dw_conv_list.{position}", 1, inputs, size)
    else:
        shapes = conv_bn(f"{name}.dw_conv", 1, inputs, kernel)
    if squeeze:
        shapes |= biased(f"{name}.se.conv1", inputs, inputs // 4)
        shapes |= biased(f"{name}.se.conv2", inputs // 4, inputs)
    if split:
        shapes |= conv_bn(f"{name}.pw_conv_1", inputs, outputs // 2, 1)
        shapes |= conv_bn(f"{name}.pw_conv_2", outputs // 2, outputs, 1)
    else:
        shapes |= conv_bn(f"{name}.pw_conv", inputs, outputs, 1)
    return shapes


def trunk_shapes(prefix, last_stride):
    shapes = conv_bn(f"{prefix}stem.0", 3, 32, 3) | block(f"{prefix}stem.1", 32, 64, 3)
    for stage, (inputs, outputs, kernel, depth) in enumerate(STAGES):
        for position in range(depth):
            strided = position == 0 and (stage < 3 or last_stride == 2)
            branches = () if stage < 2 else (5, 3) if strided else (5, 3, 1)
            shapes |= block(
                f"{prefix}stages.{stage}.{position}",
                outputs if position else inputs,
                outputs,
                kernel,
                branches=branches,
                squeeze=stage == 2,
                split=stage == 2,
            )
    return shapes


def filled(shapes):
    """Every tensor filled with numbers that say which tensor and which element it is."""
    return {
        name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 1000 + 1000 * number
        for number, (name, shape) in enumerate(shapes.items())
    }


@pytest.fixture(scope="module")
def shitu():
    return filled(
        trunk_shapes("backbone.", last_stride=1)
        | biased("backbone.last_conv", 1024, 512)
        | norm("neck.feat_bn", 512)
        | {"head.fc.weight": (512, CLASSES)}
    )


@pytest.fixture(scope="module")
def classifier():
    return filled(
        trunk_shapes("", last_stride=2)
        | {
            "last_conv.weight": (1280, 1024, 1, 1),
            "fc.weight": (1280, 1000),
            "fc.bias": (1000,),
        }
    )


def left_out(reference):
    """The convolutions that branches would fold into, and the classifier of products."""
    return {
        name
        for name in reference
        if name.endswith((".dw_conv.weight", ".dw_conv.bias")) or name == "head.fc.weight"
    }


def tensors(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def assert_all_arrived(ours, reference):
    """All that came is there and nothing else: element for element, counted by value."""
    sent = [tensor.ravel() for name, tensor in reference.items() if name not in left_out(reference)]
    arrived = [tensor.ravel() for tensor in ours.values()]
    assert np.array_equal(np.sort(np.concatenate(arrived)), np.sort(np.concatenate(sent)))


def test_every_tensor_of_the_feature_extractor_lands(tmp_path, shitu):
    path = tmp_path / "general_PPLCNetV2_base_pretrained_v1.0.pdparams"
    paddle.save({name: paddle.to_tensor(tensor) for name, tensor in shitu.items()}, str(path))
    read = read_state_dict(path)
    assert is_reference(read)
    assert len(left_out(shitu)) == 2 * (6 + 2) + 1
    network = PPLCNetV2ShiTu()
    load_weights(network, our_weights(read))
    ours = tensors(network)
    assert_all_arrived(ours, shitu)
    for theirs, name in (
        ("backbone.stem.0.conv.weight", "trunk.stem.0.conv.weight"),
        ("backbone.stem.1.dw_conv.bn._mean", "trunk.stem.1.depthwise.bn._mean"),
        ("backbone.stages.1.1.pw_conv.bn.bias", "trunk.stages.1.1.pointwise.0.bn.bias"),
        (
            "backbone.stages.2.0.dw_conv_list.1.conv.weight",
            "trunk.stages.2.0.depthwise.branches.1.conv.weight",
        ),
        (
            "backbone.stages.3.0.dw_conv_list.2.bn._variance",
            "trunk.stages.3.0.depthwise.branches.2.bn._variance",
        ),
        ("backbone.stages.2.5.se.conv1.bias", "trunk.stages.2.5.squeeze.reduce.bias"),
        ("backbone.stages.2.5.se.conv2.weight", "trunk.stages.2.5.squeeze.expand.weight"),
        ("backbone.stages.2.3.pw_conv_1.bn.weight", "trunk.stages.2.3.pointwise.0.bn.weight"),
        ("backbone.stages.2.3.pw_conv_2.bn.weight", "trunk.stages.2.3.pointwise.1.bn.weight"),
        ("backbone.last_conv.bias", "embedding.bias"),
        ("neck.feat_bn._variance", "neck._variance"),
    ):
        assert np.array_equal(ours[name], shitu[theirs]), name
        assert our_name(theirs) == name


def test_every_tensor_of_the_classifier_lands(classifier):
    assert is_reference(classifier)
    network = PPLCNetV2Classifier()
    load_weights(network, our_weights(classifier))
    ours = tensors(network)
    assert_all_arrived(ours, classifier)
    assert np.array_equal(ours["hidden.weight"], classifier["last_conv.weight"])
    assert np.array_equal(ours["fc.bias"], classifier["fc.bias"])


def test_our_own_weights_are_told_from_the_reference():
    assert not is_reference(PPLCNetV2ShiTu("small").state_dict())


def test_a_feature_extractor_starts_from_a_classifier(classifier):
    network = PPLCNetV2ShiTu()
    before = {name: tensor.copy() for name, tensor in tensors(network).items()}
    weights = our_weights(classifier)
    load_trunk(network, weights)
    ours = tensors(network)
    kept = {name for name in ours if name not in weights}
    assert {name.rpartition(".")[0] for name in kept} == {
        "embedding",
        "neck",
        "trunk.stages.3.0.depthwise.branches.2.conv",
        "trunk.stages.3.0.depthwise.branches.2.bn",
    }
    assert all(np.array_equal(ours[name], before[name]) for name in kept)
    assert all(np.array_equal(ours[name], weights[name]) for name in ours.keys() - kept)


def test_weights_of_another_network_are_refused(classifier, shitu):
    network = PPLCNetV2ShiTu()
    weights = our_weights(classifier)
    with pytest.raises(ModelError, match="do not fit"):
        load_trunk(PPLCNetV2ShiTu("small"), weights)
    with pytest.raises(ModelError, match="not an ImageNet classifier's"):
        load_trunk(network, our_weights(shitu))
    weights.pop("trunk.stem.0.bn.bias")
    with pytest.raises(ModelError, match=r"1 faults: missing trunk\.stem\.0\.bn\.bias"):
        load_trunk(network, weights)
