import numpy as np
import paddle
import pytest
from paddle import nn

from models.embedder import Embedder
from models.errors import ModelError
from models.nets.pp_lcnet_v2 import PPLCNetV2Classifier, PPLCNetV2ShiTu
from models.pack import Pack
from models.session import Session
from models.thresholds import MatchThreshold
from models.training.embedding.weights import embedder_from, size_of
from models.training.export_embedder import export_embedder, install_embedder
from models.training.installation import replacing
from models.training.normalisation import IMAGENET

ORIGIN = {"licence": "Apache-2.0", "origin": "random numbers"}
THRESHOLDS = {"threshold": MatchThreshold(0.6, 0.1), "ambiguous_margin": 0.03}


def lively_embedder(size="small"):
    """Random weights whose batch norms are of a network that has seen data."""
    paddle.seed(5)
    network = PPLCNetV2ShiTu(size)
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D | nn.BatchNorm1D):
            for tensor in (layer.weight, layer.bias, layer._mean, layer._variance):
                tensor.set_value(paddle.uniform(tensor.shape, min=0.5, max=1.5))
    network.neck.bias.set_value(paddle.zeros([512]))
    network.eval()
    return network


def state(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def features(network, x):
    with paddle.no_grad():
        return network(paddle.to_tensor(x)).numpy()


@pytest.mark.parametrize("size", ["small", "base"])
def test_the_export_equals_the_unfolded_network(tmp_path, size):
    network = lively_embedder(size)
    x = np.random.default_rng(3).normal(size=(3, 3, 224, 224)).astype(np.float32)
    wanted = features(network, x)
    assert export_embedder(network, tmp_path).keys() == {"embedder.json", "embedder.pdiparams"}
    session = Session(tmp_path / "embedder.json", tmp_path / "embedder.pdiparams", threads=2)
    assert session.inputs == ("x",)
    scale = np.abs(wanted).max()
    for batch in (3, 1):
        [output] = session.run({"x": x[:batch]})
        assert output.dtype == np.float32
        assert output.shape == (batch, 512)
        np.testing.assert_allclose(output / scale, wanted[:batch] / scale, atol=1e-5)
    if size == "base":
        megabytes = (tmp_path / "embedder.pdiparams").stat().st_size / 1e6
        assert megabytes == pytest.approx(18.3, abs=0.1)


def test_a_pack_serves_what_the_network_sees(tmp_path, pack_folder):
    network = lively_embedder()
    # At the input's own size no pixel is resampled.
    image = np.random.default_rng(8).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    [wanted] = features(network, IMAGENET.apply(image[None]))
    source = Pack.load(pack_folder)
    pack = install_embedder(network, source, tmp_path / "served", **THRESHOLDS, **ORIGIN)
    assert pack.name == "served"
    assert pack.detector == source.detector
    assert pack.embedder.threshold == MatchThreshold(0.6, 0.1)
    assert pack.embedder.ambiguous_margin == 0.03
    embedder = Embedder(pack, threads=2)
    try:
        assert embedder.dimension == 512
        [vector], _ = embedder.embed([image])
    finally:
        embedder.close()
    np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_installing_into_the_same_pack_replaces_the_embedder(pack_folder):
    before = Pack.load(pack_folder)
    with replacing(pack_folder) as folder:
        install_embedder(lively_embedder(), before, folder, **THRESHOLDS, **ORIGIN)
    after = Pack.load(pack_folder)
    assert after.detector == before.detector
    assert after.embedder.fingerprint != before.embedder.fingerprint
    assert {path.name for path in pack_folder.iterdir()} == {
        "pack.toml",
        *after.detector.sha256,
        *after.embedder.sha256,
    }


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_weights_tell_their_size(size):
    assert size_of(state(PPLCNetV2ShiTu(size))) == size


def test_weights_come_back_as_the_network_they_are_of():
    network = lively_embedder()
    x = np.random.default_rng(4).normal(size=(2, 3, 64, 64)).astype(np.float32)
    assert np.array_equal(features(embedder_from(state(network)), x), features(network, x))


def test_weights_of_another_network_are_refused():
    with pytest.raises(ModelError, match="not a PP-LCNetV2 feature extractor's"):
        embedder_from(state(PPLCNetV2Classifier("small")))
    weights = state(PPLCNetV2ShiTu("small"))
    with pytest.raises(ModelError, match="640 channels"):
        size_of(weights | {"embedding.weight": np.zeros((512, 640, 1, 1))})
