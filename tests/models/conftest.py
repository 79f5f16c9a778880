"""Models of the tests' own, exported once a session in the new format."""

import warnings

import pytest

with warnings.catch_warnings():
    # It recommends a compiler's cache, and warnings are errors here.
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401

from tests.models import tiny_networks
from tests.models.tiny_packs import write_pack


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A folder with every tiny network as `.json` and `.pdiparams`."""
    folder = tmp_path_factory.mktemp("exported")
    for name, network in (
        ("detector", tiny_networks.GridDetector()),
        ("detector_im_shape", tiny_networks.ClippingGridDetector()),
        ("embedder", tiny_networks.QuarterEmbedder()),
        ("nan_embedder", tiny_networks.QuarterEmbedder(factor=float("nan"))),
        ("short_embedder", tiny_networks.QuarterEmbedder(dimension=64)),
    ):
        tiny_networks.export(network, folder / name)
    return folder


@pytest.fixture
def pack_folder(tmp_path, exported):
    """A whole pack in the new format."""
    return write_pack(tmp_path / "tiny", exported)
