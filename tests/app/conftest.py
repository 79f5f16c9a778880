from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.http.application import create_app
from app.service import Service
from app.settings import Settings
from tests.app import pictures
from tests.gallery.samples import new_image


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service on the embedded pack, with small limits and an empty gallery."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        sample_gallery=False,
        exit_when_stuck=0,
        max_image_bytes=2_000_000,
        max_request_bytes=5_000_000,
        max_files=5,
        max_image_pixels=30_000_000,
    )
    with closing(Service(settings)) as started:
        yield started


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """A client of the application; what a test puts into the gallery is removed after it."""
    # Server errors must arrive as answers, as they do over a socket.
    with TestClient(create_app(service), raise_server_exceptions=False) as started:
        yield started
    for product in service.gallery.list_products(None, 1000)[0]:
        service.gallery.delete_product(product.id)


@pytest.fixture
def shop(client: TestClient, service: Service) -> TestClient:
    """Fifteen products of two references, and one that `pictures.jpeg(1)` shows."""
    rng = np.random.default_rng(5)
    for number in range(15):
        name = f"p{number:02}"
        service.gallery.put_product(name, name, {"shelf": "high" if number < 9 else "low"})
        centre = rng.standard_normal(512)
        views = [centre + 0.8 * rng.standard_normal((2, 512)) for _ in range(2)]
        images = [new_image((name, i), view) for i, view in enumerate(views)]
        service.gallery.add_images(name, images)
    service.gallery.put_product("shown", "Shown", {"shelf": "shown"})
    service.gallery.add_images("shown", [service.enroller.prepare(pictures.jpeg(1))])
    return client


@pytest.fixture(scope="session")
def samples() -> Path:
    return Path(__file__).parents[2] / "app" / "samples"
