"""The documentation page in a real browser, with nothing but this service to reach."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, sync_playwright

from tests.app.processes import RunningService, running_service

# As root (CI) Chromium needs --no-sandbox; the rest keeps it from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("page") / "data", sample_gallery=False) as service:
        yield service


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    assert chromium, "these tests need a browser: apt-get install chromium (make test does it)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser.new_page()
        browser.close()


def test_documentation_works_without_internet(page: Page, running: RunningService) -> None:
    outside: list[str] = []
    errors: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((running.url, "data:", "blob:")):
            outside.append(request.url)

    page.on("request", note)
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{running.url}/docs")
    page.wait_for_selector("text=/recognize")
    for path in ("/detect", "/embed", "/gallery/products/{product_id}/images", "/readyz"):
        assert page.locator(f'[data-path="{path}"]').count() >= 1, path

    # An operator tries a call on the page and sees its answer.
    block = page.locator("#operations-gallery-get_gallery_gallery_get")
    block.locator("button.opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response-col_description")
    answer.get_by_text('"fingerprint"').first.wait_for()
    assert outside == []
    assert errors == []


def test_a_photograph_is_recognised_from_the_page(
    page: Page, running: RunningService, samples: Path
) -> None:
    page.goto(f"{running.url}/docs")
    block = page.locator("#operations-recognition-recognize_recognize_post")
    block.locator("button.opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.locator("input[type=file]").set_input_files(samples / "scenes" / "scene-1.jpg")
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response-col_description")
    answer.get_by_text('"request_id"').first.wait_for()
