"""The embedder's trunk comes from PyTorch: what it answered must be what Paddle answers."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from models.training.recipes.embedded_embedder import from_twin, untrained
from models.training.recipes.names import EMBEDDER_PROBE, embedder_probe
from models.training.torch_files import paddle_name, torch_name
from tests.models.training.recipes.seeded import seeded_weights

# What `train_embedder.EmbedderTwin` answered to the probe with `seeded_weights`, in PyTorch.
ANSWERS = Path(__file__).parent / "embedder_answers.npz"
DIMENSION = 8


@pytest.fixture(scope="module")
def trained():
    tensors = untrained(DIMENSION).state_dict()
    weights = seeded_weights({torch_name(name): tuple(t.shape) for name, t in tensors.items()})
    with np.load(ANSWERS) as answers:
        return {paddle_name(name): weight for name, weight in weights.items()} | dict(answers)


def test_paddle_answers_as_pytorch_did(trained):
    network = from_twin(dict(trained), DIMENSION)
    assert trained[EMBEDDER_PROBE].std() > 0.1
    with paddle.no_grad():
        vectors = network(paddle.to_tensor(embedder_probe()))
    assert vectors.shape == [2, DIMENSION]


def test_another_answer_is_refused(trained):
    changed = trained | {"trunk.head.bn._mean": np.zeros(1280, np.float32)}
    with pytest.raises(ValueError, match="features differ"):
        from_twin(changed, DIMENSION)
