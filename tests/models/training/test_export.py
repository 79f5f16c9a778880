import hashlib

import numpy as np
import paddle
import pytest
from paddle import nn

from models.errors import ModelError
from models.nets.efficientnet_lite import ConvNorm
from models.session import Session
from models.training.export import export, fold_batch_norms
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
            np.testing.assert_allclose(
                output.value, network(paddle.to_tensor(x)).numpy(), atol=1e-5
            )


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


def test_an_exported_program_does_not_say_where_it_was_made(tmp_path):
    export(network_with_history(), tmp_path, "net", (16, 16))
    program = (tmp_path / "net.json").read_text()
    assert "site-packages" not in program
    assert str(tmp_path) not in program
