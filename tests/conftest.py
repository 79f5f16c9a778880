from collections.abc import Iterator

import pytest

from bench.milvus_server import MilvusServer


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A real Milvus, started once a run. Where it can't start, whoever asks for it fails."""
    with MilvusServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server
