import warnings

import numpy as np
import paddle
import pytest
from paddle import nn

from models.nets.picodet import Architecture, PicoDet
from models.training.detection.batch_norms import is_folded, with_batch_norms
from models.training.export import fold_batch_norms

ARCHITECTURES = [
    Architecture(scale=0.25, channels=16, head_blocks=1),
    Architecture(
        backbone="efficientnet_lite", scale=0, channels=16, strides=(16, 32), head_blocks=1
    ),
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda architecture: architecture.backbone)
def network(request):
    """A detector whose batch norms have seen data."""
    paddle.seed(4)
    network = PicoDet(request.param)
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            for tensor in (layer.weight, layer.bias, layer._mean, layer._variance):
                tensor.set_value(paddle.uniform(tensor.shape, min=0.5, max=1.5))
    network.eval()
    return network


def answers(network, images):
    with paddle.no_grad():
        return np.concatenate([answer.numpy().ravel() for answer in network(images)])


def test_a_folded_detector_answers_alike_and_trains_with_batch_norms_again(network):
    # No dimension is 1 on any level: a batch norm of a single value gives 0 while training.
    batches = [paddle.randn([2, 3, 128, 128]) for _ in range(2)]
    before = answers(network, batches[0])
    assert not is_folded(network)
    fold_batch_norms(network)
    assert is_folded(network)
    folded = answers(network, batches[0])
    size = np.abs(before).max()
    assert before.std() > 0.01
    np.testing.assert_allclose(folded, before, atol=1e-5 * size)

    restored = with_batch_norms(network, batches)
    assert {name: list(tensor.shape) for name, tensor in restored.state_dict().items()} == {
        name: list(tensor.shape)
        for name, tensor in PicoDet(network.architecture).state_dict().items()
    }
    np.testing.assert_allclose(answers(restored, batches[0]), folded, atol=1e-4 * size)

    # Training normalises by the statistics of the batch: here they are those it was made with.
    restored.train()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "When training, we now always track")
        while_training = answers(restored, paddle.concat(batches))
    restored.eval()
    expected = answers(restored, paddle.concat(batches))
    np.testing.assert_allclose(while_training, expected, atol=1e-3 * size)
