"""The shipped weights against what PyTorch answered with the published and the trained ones.

`tests/data/make_originals.py` made tests/data/originals.npz from the published weights; the answers
of the trained network come with its weights (`models.training.recipes.train_embedder`).
"""

import tomllib
from pathlib import Path

import numpy as np
import paddle
import pytest

from models.errors import ModelError
from models.pack import PACKS
from models.session import Session
from models.training import convert
from models.training.convert import efficientnet_lite_name
from models.training.export import fold_batch_norms
from models.training.recipes.embedded_embedder import untrained
from models.training.recipes.names import EMBEDDER_PROBE, LOWER_BLOCKS, embedder_probe
from models.training.state_dict import load_weights, read_program

PACK = PACKS / "embedded"
ORIGINALS = np.load(Path(__file__).parents[2] / "data" / "originals.npz")
TRAINED = np.load(Path(__file__).parents[2] / "data" / "trained_embedder.npz")
EQUAL = 1e-4
HALF = 2e-3  # what storing the trained weights in half costs is 0.0016


def error(answer, wanted):
    return np.linalg.norm(answer - wanted) / np.linalg.norm(wanted)


def made_image(size):
    """The image of tests/data/make_originals.py."""
    at = np.arange(size) / size
    waves = [np.sin(9 * c * at)[:, None] * np.cos(14 * c * at)[None] for c in (1.0, 1.7, 2.3)]
    image = np.stack(waves)[None].astype(np.float32)
    image[:, :, size // 4 : size // 2, size // 3 : 2 * size // 3] = 2
    return image


@pytest.fixture(scope="module")
def embedder():
    network = untrained(512)
    fold_batch_norms(network)
    load_weights(network, read_program(PACK / "embedder.json"))
    network.eval()
    return network


def test_the_lower_blocks_shipped_give_the_originals_features(embedder):
    with paddle.no_grad():
        x = embedder.trunk.stem(paddle.to_tensor(made_image(224)))
        means = embedder.trunk.blocks[:LOWER_BLOCKS](x).mean([2, 3]).numpy()
    assert error(means, ORIGINALS["efficientnet_lite1_lower"]) < EQUAL


def test_the_rest_was_trained(embedder):
    with paddle.no_grad():
        answer = embedder.pooled(paddle.to_tensor(embedder_probe())).numpy()
    assert error(answer, TRAINED[EMBEDDER_PROBE]) < HALF


def test_the_exported_program_equals_the_network(embedder):
    height, width = tomllib.loads((PACK / "pack.toml").read_text())["embedder"]["input_size"]
    assert height == width
    image = made_image(height)
    session = Session(PACK / "embedder.json", PACK / "embedder.pdiparams", threads=2)
    [output] = session.run({"x": image})
    with paddle.no_grad():
        expected = embedder(paddle.to_tensor(image)).numpy()
    np.testing.assert_allclose(output, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("_conv_stem.weight", "trunk.stem.conv.weight"),
        ("_bn0.running_var", "trunk.stem.bn._variance"),
        ("_blocks.15._bn1.running_mean", "trunk.blocks.15.depthwise.bn._mean"),
        ("_blocks.3._expand_conv.weight", "trunk.blocks.3.expand.conv.weight"),
        ("_bn1.bias", "trunk.head.bn.bias"),
        ("_fc.bias", "fc.bias"),
    ],
)
def test_published_names_have_ours(published, ours):
    assert efficientnet_lite_name(published) == ours


def test_an_unknown_name_is_not_guessed():
    with pytest.raises(ModelError, match="_se_reduce"):
        efficientnet_lite_name("_se_reduce.weight")


def test_weights_of_another_variant_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "read_torch", lambda _: {"_fc.bias": np.zeros(1000, np.float32)})
    with pytest.raises(ModelError, match="do not fit the network"):
        convert.efficientnet_lite(tmp_path / "lite0.pth", 1)
