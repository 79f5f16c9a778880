import hashlib

import numpy as np
import paddle
import pytest
from paddle import nn

from models.errors import ModelError
from models.nets.efficientnet_lite import ConvNorm
from models.session import Session
from models.training.export import export, fold_batch_norms, store_in_half
from models.training.state_dict import read_program


def network_with_history():
    """Two normalised convolutions whose batch norms have seen data."""
    paddle.seed(5)
    network = nn.Sequential(
        ConvNorm(3, 8, 3, stride=2), ConvNorm(8, 8, 5, groups=8, activate=False)
    )
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            for tensor in (layer.weight, layer.bias, layer._mean, layer._variance):
                tensor.set_value(paddle.uniform(tensor.shape, min=0.3, max=1.5))
    network.eval()
    return network


def test_folding_batch_norms_changes_no_answer():
    network = network_with_history()
    x = paddle.uniform([2, 3, 33, 20])
    with paddle.no_grad():
        before = network(x).numpy()
        fold_batch_norms(network)
        after = network(x).numpy()
    assert not any(isinstance(layer, nn.BatchNorm2D) for layer in network.sublayers())
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_an_exported_network_answers_alike_for_any_batch(tmp_path):
    network = network_with_history()
    hashes = export(network, tmp_path, "net", (16, 24))
    assert hashes == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in tmp_path.iterdir()
    }
    session = Session(tmp_path / "net.json", tmp_path / "net.pdiparams", threads=1)
    assert session.inputs == ("x",)
    for batch in (1, 3):
        x = np.random.default_rng(batch).uniform(-1, 1, (batch, 3, 16, 24)).astype(np.float32)
        [output] = session.run({"x": x})
        with paddle.no_grad():
            np.testing.assert_allclose(output, network(paddle.to_tensor(x)).numpy(), atol=1e-5)


def test_an_exported_program_gives_its_weights_back(tmp_path):
    network = network_with_history()
    fold_batch_norms(network)
    export(network, tmp_path, "net", (16, 16))
    fold_batch_norms(network)  # again: what is folded stays
    weights = read_program(tmp_path / "net.json")
    expected = network.state_dict()
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(weights[name], expected[name].numpy()) for name in weights)
    with pytest.raises(ModelError, match="not of this project's exports"):
        read_program(tmp_path / "net.pdmodel")


@pytest.mark.parametrize("engine", ["paddle-fp32", "openvino-fp32"])
def test_weights_stored_in_half_are_computed_with_in_float32(tmp_path, engine):
    paddle.seed(6)
    network = nn.Sequential(ConvNorm(3, 64, 3, stride=2), ConvNorm(64, 64, 5, groups=64))
    network = nn.Sequential(network, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(64, 4096))
    fold_batch_norms(network)
    whole, half = tmp_path / "whole", tmp_path / "half"
    export(network, whole, "net", (16, 16))
    sizes = [(whole / "net.pdiparams").stat().st_size]
    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D | nn.Linear):  # what float16 can say
            layer.weight.set_value(layer.weight.astype("float16").astype("float32"))
    x = np.random.default_rng(7).normal(size=(2, 3, 16, 16)).astype(np.float32)
    with paddle.no_grad():
        wanted = network(paddle.to_tensor(x)).numpy()
    expected = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    store_in_half(network)
    export(network, half, "net", (16, 16))
    sizes.append((half / "net.pdiparams").stat().st_size)
    assert sizes[1] < 0.53 * sizes[0]
    session = Session(half / "net.json", half / "net.pdiparams", threads=1, engine=engine)
    # Of a value of 1 float16 keeps 5e-4, float32 6e-8.
    np.testing.assert_allclose(session.run({"x": x})[0], wanted, atol=1e-6)
    weights = read_program(half / "net.json")
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        assert tensor.dtype == np.float32
        assert np.array_equal(tensor, expected[name])


def test_an_exported_program_does_not_say_where_it_was_made(tmp_path):
    export(network_with_history(), tmp_path, "net", (16, 16))
    program = (tmp_path / "net.json").read_text()
    assert "site-packages" not in program
    assert str(tmp_path) not in program
