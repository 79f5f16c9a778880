"""Names that are written from right to left, among English words."""

from playwright.sync_api import Locator, expect

from tests.app import pictures
from tests.app.page.shop import Shop, give
from tests.app.processes import RunningService

# Read from right to left, the L stands at its left end.
NAME, ID = "حليب 1L", "لبن-1L"
FIRST_IS_RIGHT = """(element, text) => {
    const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (!nodes.nextNode().data.includes(text));
    const place = (at) => {
        const range = document.createRange();
        range.setStart(nodes.currentNode, at);
        range.setEnd(nodes.currentNode, at + 1);
        return range.getBoundingClientRect().left;
    };
    const start = nodes.currentNode.data.indexOf(text);
    return place(start) > place(start + text.length - 1);
}"""


def assert_reads(place: Locator, text: str = NAME) -> None:
    expect(place).to_contain_text(text)
    assert place.evaluate(FIRST_IS_RIGHT, text)


def test_names_from_right_to_left_are_read_so_everywhere(
    unlocked: Shop, running: RunningService
) -> None:
    address, photograph = f"/gallery/products/{ID}", pictures.jpeg(41)
    running.client.put(address, json={"name": NAME}).raise_for_status()
    running.client.post(f"{address}/images", files={"images": photograph}).raise_for_status()

    page = unlocked.open("gallery")
    card = page.locator(".product-card", has_text=NAME)
    assert_reads(card.locator("strong"))
    assert_reads(card.locator(".id"), ID)
    card.click()
    assert_reads(page.locator("h1"))
    assert_reads(page.locator("p.id"), ID)
    for label in ("Name", "Search"):
        expect(page.get_by_label(label, exact=True)).to_have_attribute("dir", "auto")
        unlocked.open("gallery")
    unlocked.open(f"product/{ID}")
    page.get_by_role("button", name="Add an entry").click()
    for label in ("Name of the entry", "Value of the entry"):
        expect(page.get_by_label(label)).to_have_attribute("dir", "auto")
    page.get_by_role("button", name="Remove product…").click()
    assert_reads(page.get_by_role("dialog").locator("p"))
    page.get_by_role("button", name="Keep").click()

    unlocked.open("recognise")
    give(page, "drop", ".dropzone", ("milk.jpg", "image/jpeg", photograph))
    result = page.locator(".result", has_text=NAME).first
    assert_reads(result.locator("h2"))
    result.locator("summary").click()
    assert_reads(result.locator(".pick", has_text=NAME).locator(".name"))
    result.get_by_role("button", name="It was …").click()
    chooser = page.get_by_role("dialog")
    expect(chooser.locator(".hint")).to_contain_text("More: search for them")  # all are there
    choice = chooser.locator(".choice", has_text=NAME)
    assert_reads(choice.locator(".name"))
    assert_reads(choice.locator(".id"), ID)
    choice.click()
    assert_reads(result.locator(".said"))

    result.locator(".said a").click()
    entry = page.locator(".entry", has_text=NAME)
    assert_reads(entry.locator("h2"))
    assert_reads(entry.locator("h2"), ID)
    assert_reads(entry.locator(".hint"), ID)
    unlocked.check()
    entry.get_by_role("button", name="Reject").click()
    expect(entry.locator(".state")).to_have_text("Rejected")
    assert running.client.delete(address).is_success
    assert unlocked.refused == []
