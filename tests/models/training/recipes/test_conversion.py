"""The trained weights come from PyTorch: what it answered must be what Paddle answers."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from models.nets.efficientnet_lite import EfficientNetLite, PooledLinear
from models.nets.pico_head import PicoHead
from models.nets.picodet import PicoDet
from models.training.detection.criterion import detection_losses
from models.training.detection.weights import detector_from, read_exported
from models.training.recipes import embedded_detector
from models.training.recipes.embedded_detector import ARCHITECTURE, from_twin, write_imagenet
from models.training.recipes.names import PROBE, probe
from models.training.recipes.pack_files import PACK
from models.training.torch_files import torch_name
from tests.models.training.recipes.seeded import seeded_case, seeded_weights

# What `twin.Twin` answered to `names.probe` with `seeded_weights`, in PyTorch.
ANSWERS = Path(__file__).parent / "twin_answers.npz"
# The same of the weights that were trained.
SHIPPED = Path(__file__).parent / "shipped_answers.npz"


@pytest.fixture(scope="module")
def trained():
    tensors = PicoDet(ARCHITECTURE).state_dict()
    shapes = {torch_name(name): tuple(tensor.shape) for name, tensor in tensors.items()}
    del shapes["head.bins"]
    with np.load(ANSWERS) as answers:
        return seeded_weights(shapes) | dict(answers)


def test_paddle_answers_as_pytorch_did(trained):
    detector = from_twin(dict(trained))
    assert detector.architecture == ARCHITECTURE
    assert trained["probe.scores"].std() > 0.1
    assert trained["probe.sides"].std() > 0.1


def test_the_shipped_weights_answer_as_they_did_in_pytorch():
    shipped = detector_from(read_exported(PACK / "detector.json"))
    assert shipped.architecture == ARCHITECTURE
    with paddle.no_grad():
        answers = shipped(paddle.to_tensor(probe()))
    with np.load(SHIPPED) as expected:
        for name, answer in zip(PROBE, answers, strict=True):
            np.testing.assert_allclose(answer.numpy(), expected[name], atol=1e-4)


def test_another_answer_is_refused(trained):
    changed = trained | {"backbone.stem.bn.running_mean": np.zeros(32, np.float32)}
    with pytest.raises(ValueError, match=r"probe\.scores differ"):
        from_twin(changed)


def test_pytorch_gets_the_published_trunk_by_the_names_it_knows(tmp_path, monkeypatch, trained):
    published = PooledLinear(EfficientNetLite(), 1000)
    monkeypatch.setattr(embedded_detector, "efficientnet_lite", lambda _: published)
    write_imagenet(tmp_path / "lite0.pth", tmp_path / "imagenet.npz")
    with np.load(tmp_path / "imagenet.npz") as written:
        known = {name.removeprefix("backbone.") for name in trained if name.startswith("backbone.")}
        assert known < set(written)
        variance = published.trunk.blocks[3].expand.bn._variance.numpy()
        np.testing.assert_array_equal(written["blocks.3.expand.bn.running_var"], variance)


def test_the_detector_is_small():
    tensors = PicoDet(ARCHITECTURE).state_dict().values()
    assert sum(4 * tensor.size for tensor in tensors) < 8e6


class Answering:
    """Stands where the network stands in the loss: gives the logits of the case."""

    architecture = ARCHITECTURE

    def __init__(self, scores, sides):
        self.answers = paddle.to_tensor(scores), paddle.to_tensor(sides)
        self.head = PicoHead(16, len(ARCHITECTURE.strides))

    def __call__(self, images):
        return self.answers


def test_both_frameworks_have_the_same_loss():
    scores, sides, boxes = seeded_case()
    truth = [boxes[image, :count] for image, count in enumerate((0, 2, 4))]
    losses = detection_losses(Answering(scores, sides), paddle.zeros([3, 3, 128, 128]), truth)
    # What `losses_torch.detection_loss` gave.
    assert float(losses.total) == pytest.approx(14.572749, rel=1e-5)
