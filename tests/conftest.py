from collections.abc import Iterator

import pytest

from bench.milvus_server import MilvusServer
from bench.object_server import ObjectServer


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A real Milvus, started once a run. Where it can't start, whoever asks for it fails.

    `milvus-lite` is none: it keeps no description of a collection, which names our embedder.
    """
    with MilvusServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A real S3 server with a bucket, started once a run, as `milvus` is."""
    with ObjectServer(tmp_path_factory.mktemp("objects")) as server:
        yield server


@pytest.fixture
def bucket(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket's location, and in the environment what opens it."""
    for name, value in object_server.environment.items():
        monkeypatch.setenv(name, value)
    return object_server.bucket
