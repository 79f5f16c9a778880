"""Dialogs: they end with the view that opened them, and refuse what can't be right."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app.page.shop import Shop, give
from tests.app.processes import RunningService

STREAMS = """
    window.streams = [];
    const camera = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        await new Promise((resolve) => setTimeout(resolve, window.pause ?? 0));
        const stream = await camera(wanted);
        streams.push(stream);
        return stream;
    };
"""
TRACKS = "streams.flatMap((stream) => stream.getTracks()).map((track) => track.readyState)"


def camera(shop: Shop) -> Page:
    shop.page.add_init_script(STREAMS)
    shop.open("health")
    page = shop.open("recognise")
    expect(page.get_by_role("button", name="Use the camera")).to_be_visible()
    return page


def test_the_camera_ends_with_its_view(unlocked: Shop) -> None:
    page = camera(unlocked)
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("button", name="Take photograph")).to_be_enabled()
    assert page.evaluate(TRACKS) == ["live"]
    page.go_back()
    expect(page.locator("h1")).to_have_text("Health")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("h1")).to_be_focused()
    assert page.evaluate(TRACKS) == ["ended"]
    unlocked.check()


def test_a_camera_that_is_allowed_too_late_is_not_opened(unlocked: Shop) -> None:
    page = camera(unlocked)
    page.evaluate("window.pause = 500")
    page.get_by_role("button", name="Use the camera").click()
    page.go_back()
    page.wait_for_timeout(1000)
    expect(page.locator("dialog")).to_have_count(0)
    assert page.evaluate(TRACKS) == ["ended"]


def test_questions_end_with_their_view_as_a_no(unlocked: Shop, running: RunningService) -> None:
    address = "/gallery/products/asked"
    running.client.put(address, json={"name": "Asked"}).raise_for_status()
    for view, opener in (("product/asked", "Remove product…"), ("recognise", "Key")):
        unlocked.open("health")
        page = unlocked.open(view)
        page.get_by_role("button", name=opener, exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.go_back()
        expect(page.locator("h1")).to_have_text("Health")
        expect(page.locator("dialog")).to_have_count(0)
    assert running.client.delete(address).is_success
    assert unlocked.refused == []


def test_the_chooser_ends_with_its_view(unlocked: Shop, samples: Path) -> None:
    unlocked.open("health")
    page = unlocked.open("recognise")
    scene = (samples / "scenes" / "scene-2.jpg").read_bytes()
    give(page, "drop", ".dropzone", ("scene.jpg", "image/jpeg", scene))
    page.get_by_role("button", name="It was …").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.locator("dialog")).to_have_count(0)


def test_a_key_that_calls_wait_for_is_asked_for_in_the_next_view(
    shop: Shop, key: tuple[Path, str]
) -> None:
    shop.open("recognise")
    page = shop.open("gallery")
    asked = page.get_by_role("dialog", name="API key")
    asked.get_by_label("Key", exact=True).fill(key[1])
    page.go_back()
    page.evaluate("location.hash = '#review'")
    asked.get_by_role("button", name="Use key").click()
    expect(page.locator(".queue")).to_contain_text("Nothing waits for review")
    assert set(shop.refused) == {401}


@pytest.mark.parametrize("wrong", ["tillsight_…", "“tillsight_key”", "two words", "clé"])
def test_what_can_be_no_key_is_refused_in_words(shop: Shop, wrong: str) -> None:
    page = shop.open("recognise")
    page.get_by_role("button", name="Key", exact=True).click()
    asked = page.get_by_role("dialog", name="API key")
    field = asked.get_by_label("Key", exact=True)
    field.fill(wrong)
    page.keyboard.press("Enter")
    expect(asked).to_be_visible()
    assert field.evaluate("(one) => one.validationMessage").startswith("Keys have no spaces")
    assert page.evaluate("sessionStorage.getItem('tillsight-key')") is None
    field.fill(" tillsight_key ")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_have_count(0)
    assert page.evaluate("sessionStorage.getItem('tillsight-key')") == "tillsight_key"
