"""A service with keys and a browser, large and small."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from app.keys import Scope, create_key
from tests.app.page.shop import PATIENCE, Shop
from tests.app.processes import RunningService, running_service
from tests.app.test_browser import FLAGS

CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}


@pytest.fixture(scope="package")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("page") / "data"
    folder.mkdir()
    return folder, create_key(folder / "keys.json", "office", list(Scope))[1]


@pytest.fixture(scope="package")
def running(key: tuple[Path, str]) -> Iterator[RunningService]:
    folder, token = key
    with running_service(folder) as service:
        service.client.headers["Authorization"] = f"Bearer {token}"
        yield service


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "these tests need a browser: apt-get install chromium (make test does it)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *CAMERA])
        yield browser
        browser.close()


@pytest.fixture(params=SIZES)
def shop(
    request: pytest.FixtureRequest, browser: Browser, running: RunningService
) -> Iterator[Shop]:
    width, height = SIZES[request.param]
    phone = request.param == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height}, is_mobile=phone, has_touch=phone
    )
    context.set_default_timeout(PATIENCE)
    shop = Shop(context.new_page(), running.url)
    yield shop
    context.close()
    assert shop.outside == []
    assert shop.errors == []


@pytest.fixture
def unlocked(shop: Shop, key: tuple[Path, str]) -> Shop:
    """The page in a tab that was given the key."""
    shop.page.add_init_script(f"sessionStorage.setItem('tillsight-key', '{key[1]}')")
    return shop
