import numpy as np
import paddle
import pytest
from paddle import nn

from models.nets.efficientnet_lite import EfficientNetLite, PooledLinear, StagesLinear
from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu
from models.training.embedding.adaptation import fit_map, mapped, put_map
from models.training.embedding.retrieval import Embeddings, evaluate


def shop(seed, products=30, shots=6, dimension=24):
    """Vectors of products that differ in half of the dimensions; light differs in the others."""
    rng = np.random.default_rng(seed)
    light = 3 * rng.normal(size=(products * shots, dimension))
    light[:, dimension // 2 :] *= 0.1
    vectors = np.repeat(rng.normal(size=(products, dimension)), shots, axis=0) + light
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    identities = [f"{seed}-{product}" for product in range(products) for _ in range(shots)]
    return vectors.astype(np.float32), identities


def recall(vectors, identities):
    names = [str(place) for place in range(len(identities))]
    return evaluate(*[Embeddings(vectors[:, None], identities, names)] * 2).recall_1


def test_what_varies_within_products_is_damped_for_other_products_too():
    by = fit_map(*shop(seed=1), 0.2)
    assert by.shape == (24, 24)
    np.testing.assert_allclose(by, by.T, atol=1e-6)
    vectors, identities = shop(seed=2)
    after = mapped(vectors, by)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, atol=1e-5)
    assert recall(after, identities) > recall(vectors, identities) + 0.2


def test_full_shrinkage_changes_nothing():
    vectors, identities = shop(seed=1)
    np.testing.assert_allclose(fit_map(vectors, identities, 1.0), np.eye(24), atol=1e-6)


def test_products_seen_once_say_nothing():
    vectors, identities = shop(seed=1, shots=1)
    with pytest.raises(ValueError, match="no identity has two"):
        fit_map(vectors, identities, 0.2)


@pytest.mark.parametrize("kind", [PooledLinear, StagesLinear, PPLCNetV2ShiTu])
def test_the_last_layer_takes_the_map(kind):
    paddle.seed(3)
    if kind is PPLCNetV2ShiTu:
        network = PPLCNetV2ShiTu("small")
        for tensor in (network.neck.weight, network.neck._mean, network.neck._variance):
            tensor.set_value(paddle.uniform(tensor.shape, min=0.5, max=1.5))
    else:
        network = kind(EfficientNetLite(), 512)
    assert isinstance(network, nn.Layer)
    network.eval()
    by = np.random.default_rng(4).normal(size=(512, 512)).astype(np.float32) / 20
    x = paddle.uniform([2, 3, 64, 64])
    with paddle.no_grad():
        wanted = network(x).numpy() @ by
        put_map(network, by)
        found = network(x).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
