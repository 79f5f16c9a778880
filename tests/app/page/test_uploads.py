"""Photographs that are sent into a product while the network, or the service, is away."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.app import pictures
from tests.app.page.shop import Shop, give
from tests.app.processes import RunningService

ADDRESS = "/gallery/products/away"
PHOTOGRAPHS = [(f"{side}.jpg", "image/jpeg", pictures.jpeg(31 + side)) for side in range(4)]


@pytest.fixture
def page(unlocked: Shop, running: RunningService) -> Iterator[Page]:
    """Of a product without photographs, where a second takes a fiftieth of one."""
    running.client.put(ADDRESS, json={"name": "Away"}).raise_for_status()
    unlocked.page.add_init_script(
        "const real = setTimeout; window.setTimeout = (work, pause) => real(work, pause / 50);"
    )
    page = unlocked.open("product/away")
    expect(page.locator(".dropzone")).to_be_visible()
    yield page
    running.client.delete(ADDRESS).raise_for_status()


def keys(page: Page) -> list[str]:
    """Of the photographs as they are sent, from here on."""
    found: list[str] = []
    page.on(
        "request",
        lambda one: found.append(one.headers["idempotency-key"]) if one.method == "POST" else None,
    )
    return found


def test_photographs_are_sent_again_when_the_network_is_back(page: Page, unlocked: Shop) -> None:
    sent = keys(page)
    page.context.set_offline(True)
    give(page, "drop", ".dropzone", *PHOTOGRAPHS)
    expect(page.locator(".uploads")).to_contain_text("waiting for the service")
    page.context.set_offline(False)
    expect(page.locator(".uploads .state")).to_have_text(["added"] * 4)
    expect(page.locator(".references li")).to_have_count(4)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    assert len(set(sent)) == 4
    assert set(unlocked.refused) == {0}


def test_what_was_tried_often_enough_is_tried_again_by_a_button(page: Page, unlocked: Shop) -> None:
    sent = keys(page)
    again = page.get_by_role("button", name="Try again")
    page.context.set_offline(True)
    give(page, "drop", ".dropzone", *PHOTOGRAPHS)
    expect(page.locator(".uploads .bad")).to_have_count(4)
    page.context.set_offline(False)
    unlocked.check()
    again.press("Enter")
    expect(page.locator(".uploads .state")).to_have_text(["added"] * 4)
    expect(page.locator(".references li")).to_have_count(4)
    expect(page.locator(".uploads")).to_be_focused()
    expect(page.locator(".problem")).to_have_count(0)
    expect(again).to_be_hidden()
    assert len(set(sent)) == 4
    assert set(unlocked.refused) == {0}


@pytest.mark.parametrize(
    ("status", "code"), [(503, "shutting-down"), (409, "idempotency-key-in-use")]
)
def test_a_photograph_waits_for_a_service_that_is_not_ready(
    page: Page, unlocked: Shop, status: int, code: str
) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=status, json={"title": "Later", "detail": "Later.", "code": code})

    page.route("**/images", refuse, times=2)
    give(page, "drop", ".dropzone", PHOTOGRAPHS[0])
    expect(page.locator(".uploads .state")).to_have_text("added")
    assert unlocked.refused == [status, status]


def test_photographs_that_can_not_be_shown_yet_are_told(page: Page, unlocked: Shop) -> None:
    page.route(f"**{ADDRESS}", lambda route: route.fulfill(status=503), times=1)
    give(page, "drop", ".dropzone", PHOTOGRAPHS[0])
    expect(page.locator(".uploads .state")).to_have_text("added")
    expect(page.locator(".trouble")).to_contain_text("The service can't be reached")
    give(page, "drop", ".dropzone", PHOTOGRAPHS[1])
    expect(page.locator(".references li")).to_have_count(2)
    expect(page.locator(".trouble")).to_be_empty()
    assert unlocked.refused == [503]


def test_what_waits_is_not_sent_when_its_view_is_left(page: Page, unlocked: Shop) -> None:
    sent = keys(page)
    page.context.set_offline(True)
    give(page, "drop", ".dropzone", PHOTOGRAPHS[0])
    expect(page.locator(".uploads")).to_contain_text("waiting for the service")
    page.evaluate("location.hash = '#recognise'")
    page.context.set_offline(False)
    seen = len(sent)
    page.wait_for_timeout(600)  # more than all the pauses
    assert len(sent) == seen
    assert set(unlocked.refused) == {0}
