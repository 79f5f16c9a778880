"""Models of the tests' own, exported once a session in the new format."""

import pytest

from models.session import load_paddle

# Before any test module imports paddle itself: its import warns, and warnings are errors here.
load_paddle()

from tests.models import tiny_networks  # noqa: E402
from tests.models.tiny_packs import write_pack  # noqa: E402


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
