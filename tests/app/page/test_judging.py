"""Feedback, review and quality in a real browser, large and small."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from app.sample import SAMPLES
from tests.app import pictures
from tests.app.page.shop import Shop, assert_shown, give
from tests.app.processes import RunningService

CRISPS, COFFEE = "jorima-herbs-crisps", "lumiva-coffee-coffee"


def photograph(product: str, number: int) -> tuple[str, str, bytes]:
    path = SAMPLES / "references" / product / f"{number:02}.jpg"
    return path.name, "image/jpeg", path.read_bytes()


@pytest.fixture(autouse=True)
def as_before(running: RunningService) -> Iterator[None]:
    """What a test teaches is undone, and nothing waits for the next one."""
    yield
    client = running.client
    for item in client.get("/feedback?limit=1000").json()["items"]:
        if item["state"] == "approved":
            client.post(f"/feedback/{item['id']}/undo").raise_for_status()
        if item["state"] != "rejected":
            client.post(f"/feedback/{item['id']}/reject").raise_for_status()


def recognised(shop: Shop, product: str, number: int) -> Page:
    page = shop.open("recognise")
    give(page, "drop", ".dropzone", photograph(product, number))
    expect(page.locator(".stages")).to_be_visible()
    return page


def waiting(running: RunningService) -> list[dict]:
    return running.client.get("/feedback?state=waiting").json()["items"]


def test_a_calibrated_gallery_says_how_likely_it_is_right(
    unlocked: Shop, running: RunningService
) -> None:
    running.client.get("/gallery/calibration").raise_for_status()
    page = recognised(unlocked, CRISPS, 1)
    expect(page.locator(".result .facts").first).to_contain_text(
        re.compile(r"Likely right\s*\d+ %")
    )
    unlocked.check()


def test_a_result_is_said_to_be_right_or_none(unlocked: Shop, running: RunningService) -> None:
    page = recognised(unlocked, CRISPS, 1)
    verdicts = page.get_by_role("group", name="Was it right?").first
    verdicts.get_by_role("button", name="Right").click()
    expect(page.locator(".said").first).to_contain_text("It waits for review")
    assert [item["verdict"] for item in waiting(running)] == ["right"]
    verdicts.get_by_role("button", name="None of these").click()
    expect(page.locator(".said").first).to_contain_text("none of these")
    assert [item["verdict"] for item in waiting(running)] == ["none"]
    unlocked.check()
    assert unlocked.refused == []


def test_it_was_another_product_is_said_reviewed_and_undone(
    unlocked: Shop, running: RunningService
) -> None:
    page = recognised(unlocked, CRISPS, 3)
    page.get_by_role("button", name="It was …").first.click()
    dialog = page.get_by_role("dialog", name="What was it?")
    dialog.get_by_label("Search").fill("ｃｏｆｆｅｅ")  # what the server finds
    unlocked.check()
    dialog.get_by_role("button", name=COFFEE).click()
    expect(page.locator(".said").first).to_contain_text("It waits for review")
    (item,) = waiting(running)
    assert (item["verdict"], item["product_id"]) == ("wrong", COFFEE)

    page.locator(".said a").first.click()
    entry = page.locator(".entry").first
    name = running.client.get(f"/gallery/products/{COFFEE}").json()["name"]
    expect(entry.locator("h2")).to_have_text(f"It is {name} ({COFFEE})")
    expect(entry).to_contain_text(f"Answered {CRISPS}, match")
    assert_shown(entry.locator("img"))
    unlocked.check()
    before = running.client.get(f"/gallery/products/{COFFEE}").json()["image_count"]

    # It is no coffee: that would spoil the gallery, and is held back with its reasons.
    entry.get_by_role("button", name="Approve as reference").click()
    expect(entry.locator(".problem code")).to_have_text("lowers-recall")
    expect(entry.locator(".problem")).to_contain_text("or press “Approve all the same”")
    expect(entry.locator(".problem")).not_to_contain_text("force")
    expect(entry.locator(".missed")).to_contain_text(
        f"This picture of {COFFEE} would be taken for {CRISPS}"
    )
    unlocked.check()
    entry.get_by_role("button", name="Approve all the same").click()
    expect(entry.locator(".state")).to_have_text("Approved as a reference")
    now = running.client.get(f"/gallery/products/{COFFEE}").json()["image_count"]
    assert now == before + 1

    page.get_by_label("Show").select_option("Approved")
    expect(page.locator(".entry .state")).to_have_text("Approved as a reference")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Reject")).to_be_visible()
    after = running.client.get(f"/gallery/products/{COFFEE}").json()["image_count"]
    assert after == before
    page.get_by_role("button", name="Reject").click()
    expect(page.locator(".entry .state")).to_have_text("Rejected")
    assert unlocked.refused == [409]


def test_a_negative_is_approved_by_keyboard(unlocked: Shop, running: RunningService) -> None:
    page = unlocked.open("recognise")
    scene = pictures.jpeg(1)  # of no product: one would be missed
    page.get_by_text("Options").click()
    page.get_by_label("Look for several products").uncheck()
    give(page, "drop", ".dropzone", ("tray.jpg", "image/jpeg", scene))
    expect(page.locator(".stages")).to_be_visible()
    (result,) = running.client.post(
        "/recognize", params={"detect": False}, files={"image": scene}
    ).json()["results"]
    name = "Right" if result["outcome"] == "unknown" else "None of these"
    page.get_by_role("button", name=name).press("Enter")
    expect(page.locator(".said a")).to_be_visible()
    page.locator(".said a").press("Enter")
    entry = page.locator(".entry").first
    expect(entry.locator("h2")).to_have_text("None of the products")
    entry.get_by_role("button", name="Approve as negative").press("Enter")
    expect(entry.locator(".state")).to_have_text("Approved as a negative")
    expect(entry.get_by_role("button", name="Undo")).to_be_focused()
    (result,) = running.client.post(
        "/recognize", params={"detect": False}, files={"image": scene}
    ).json()["results"]
    assert (result["outcome"], result["candidates"]) == ("unknown", [])
    assert unlocked.refused == []


def test_a_negative_that_hides_a_product_is_held_back(unlocked: Shop) -> None:
    page = recognised(unlocked, CRISPS, 1)
    page.get_by_role("button", name="None of these").first.click()
    page.locator(".said a").first.click()
    entry = page.locator(".entry").first
    entry.get_by_role("button", name="Approve as negative").click()
    missed = f"A reference of {CRISPS} would be taken for this negative"
    expect(entry.locator(".missed")).to_contain_text(missed)
    unlocked.check()
    assert unlocked.refused == [409]


def test_an_empty_queue_says_what_to_do(unlocked: Shop) -> None:
    page = unlocked.open("review")
    expect(page.locator(".queue")).to_contain_text("Nothing waits for review")
    unlocked.check()


def test_the_slider_goes_from_false_accepts_to_misses(
    unlocked: Shop, running: RunningService
) -> None:
    page = unlocked.open("quality")
    slider = page.get_by_label("From false accepts to misses")
    expect(page.locator(".curve svg")).to_be_visible()
    unlocked.check()
    values = page.locator(".tiles dd:not(.hint)")
    seen = []
    for key, rate in (("Home", None), ("End", 0.5)):
        slider.press(key)
        seen.append([values.nth(place).inner_text() for place in range(3)])
        if rate:
            answer = running.client.get(
                "/gallery/calibration", params={"false_accept_rate": rate}
            ).json()
            assert seen[-1][0] == "50 %"
            assert seen[-1][2] == f"{answer['threshold']:.3f}"
    (_, _, strict), (_, _, loose) = seen
    assert float(strict) > float(loose)
    assert "false accepts" in (slider.get_attribute("aria-valuetext") or "")
    assert unlocked.refused == []


def test_the_audit_shows_the_pictures_of_a_fault(unlocked: Shop, running: RunningService) -> None:
    wrong = running.client.post(
        f"/gallery/products/{COFFEE}/images", files={"images": photograph(CRISPS, 2)[2]}
    ).json()["images"][0]["id"]
    names = {
        one: running.client.get(f"/gallery/products/{one}").json()["name"]
        for one in (COFFEE, CRISPS)
    }
    try:
        page = unlocked.open("quality")
        group = page.locator(".group", has_text="The same picture twice")
        # By name: people know products by it, not by a number.
        fault = group.locator(".fault", has_text=names[CRISPS])
        expect(fault.locator("img")).to_have_count(2)
        fault.scroll_into_view_if_needed()
        assert_shown(fault.locator("img").first)
        wrongly = page.locator(".group", has_text="Under the wrong product")
        expect(wrongly).to_contain_text(f"{names[COFFEE]}, but like {names[CRISPS]}")
        unlocked.check()
        fault.get_by_role("link").click()
        expect(page.locator("h1")).to_have_text(re.compile("Lumiva|Jorima"))
    finally:
        running.client.delete(f"/gallery/images/{wrong}")
    assert unlocked.refused == []
