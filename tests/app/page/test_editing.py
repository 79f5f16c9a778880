"""The editor of a product by keyboard, and what it refuses."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.app import pictures
from tests.app.page.shop import Shop
from tests.app.processes import RunningService

ADDRESS = "/gallery/products/edited"
SAVED = "form .good"


@pytest.fixture
def page(unlocked: Shop, running: RunningService) -> Iterator[Page]:
    """Of a product with two photographs and two entries of metadata."""
    body = {"name": "Edited", "metadata": {"brand": "Sunhill", "shelf": 7}}
    running.client.put(ADDRESS, json=body).raise_for_status()
    for number in (51, 52):
        files = {"images": pictures.jpeg(number)}
        running.client.post(f"{ADDRESS}/images", files=files).raise_for_status()
    yield unlocked.open("product/edited")
    running.client.delete(ADDRESS).raise_for_status()
    assert unlocked.refused == []


def test_the_focus_goes_on_when_a_photograph_is_removed(page: Page) -> None:
    for left in (1, 0):
        page.get_by_role("button", name="Remove photograph 1").press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Remove").press("Enter")
        expect(page.locator(".references li")).to_have_count(left)
        place = ".references button" if left else ".dropzone button"
        expect(page.locator(place)).to_be_focused()


def test_the_focus_goes_on_when_an_entry_is_removed(page: Page) -> None:
    expect(page.get_by_role("button", name="Remove entry 2")).to_be_visible()
    for left in (1, 0):
        page.get_by_role("button", name="Remove entry 1").press("Enter")
        expect(page.get_by_label("Name of the entry")).to_have_count(left)
        name = "Remove entry 1" if left else "Add an entry"
        expect(page.get_by_role("button", name=name)).to_be_focused()


def test_two_entries_of_one_name_are_refused_in_words(
    page: Page, running: RunningService, unlocked: Shop
) -> None:
    page.get_by_role("button", name="Add an entry").click()
    name = page.get_by_label("Name of the entry").last
    name.fill("brand ")
    page.get_by_label("Value of the entry").last.fill("Other")
    page.get_by_role("button", name="Save").click()
    expect(name).to_be_focused()
    said = name.evaluate("(one) => one.validationMessage")
    assert said.startswith("There is an entry of this name already")
    unlocked.check()
    page.get_by_role("button", name="Remove entry 1").click()  # the first of them
    page.get_by_role("button", name="Save").click()
    expect(page.locator(SAVED)).to_be_visible()
    assert running.client.get(ADDRESS).json()["metadata"] == {"shelf": 7, "brand": "Other"}


@pytest.mark.parametrize("wrong", ["a/b", "a\\b", ".", " .. "])
def test_an_id_that_no_address_can_hold_is_refused_in_words(unlocked: Shop, wrong: str) -> None:
    page = unlocked.open("add")
    field = page.get_by_label("Id", exact=True)
    field.fill(wrong)
    page.get_by_label("Name", exact=True).fill("Wrong")
    page.get_by_role("button", name="Add product").click()
    expect(field).to_be_focused()
    assert field.evaluate("(one) => one.validationMessage").startswith("An id has no /")
    field.fill("a..b")
    assert field.evaluate("(one) => one.checkValidity()")
    assert unlocked.refused == []
