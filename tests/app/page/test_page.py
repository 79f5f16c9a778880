"""The page at `/` in a real browser: every flow, large and small, against a service with keys."""

import io
import re
import zipfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from app.http.page import PAGE
from tests.app import pictures
from tests.app.page.shop import PATIENCE, Shop, assert_shown, give
from tests.app.problems import assert_problem
from tests.app.processes import RunningService, running_service


def test_a_photograph_is_recognised(unlocked: Shop, running: RunningService, samples: Path) -> None:
    page = unlocked.open("recognise")
    unlocked.check()
    scene = samples / "scenes" / "scene-1.jpg"
    page.locator("input[type=file]").first.set_input_files(scene)
    expect(page.locator(".stages tbody tr")).to_have_count(8)
    answer = running.client.post("/recognize", files={"image": scene.read_bytes()}).json()
    cards, boxes = page.locator(".result"), page.locator("button.box")
    expect(cards).to_have_count(len(answer["results"]))
    expect(boxes).to_have_count(len(answer["results"]))
    assert any(result["outcome"] == "match" for result in answer["results"])
    for at, result in enumerate(answer["results"]):
        expect(cards.nth(at).locator("span.outcome")).to_have_text(result["outcome"].capitalize())
        if result["outcome"] == "match":
            expect(cards.nth(at).locator("h2")).to_have_text(result["product"]["name"])
        expect(cards.nth(at).locator(".pick")).to_have_count(len(result["candidates"]))
    # The first box lies where the service said.
    frame, drawn = page.locator(".frame").bounding_box(), boxes.first.bounding_box()
    assert frame is not None
    assert drawn is not None
    scale = frame["width"] / answer["image"]["width"]
    box = answer["results"][0]["box"]
    assert abs(drawn["x"] - frame["x"] - box["x1"] * scale) < 2
    assert abs(drawn["y"] - frame["y"] - box["y1"] * scale) < 2
    assert abs(drawn["width"] - (box["x2"] - box["x1"]) * scale) < 2
    # By keyboard to its card, where the crop stands beside the reference.
    boxes.first.press("Enter")
    expect(cards.first).to_be_focused()
    assert_shown(page.locator(".pair img").first)
    crop = page.locator(".pair canvas").first.evaluate("(c) => c.width / c.height")
    assert abs(crop - (box["x2"] - box["x1"]) / (box["y2"] - box["y1"])) < 0.02
    unlocked.check()
    assert unlocked.refused == []


def test_photographs_are_dropped_pasted_and_taken(unlocked: Shop, samples: Path) -> None:
    page = unlocked.open("recognise")
    picture = (samples / "scenes" / "scene-2.jpg").read_bytes()
    for event in ("drop", "paste"):
        give(page, event, ".dropzone", ("scene.jpg", "image/jpeg", picture))
        expect(page.locator(".stages")).to_be_visible()
        unlocked.open("health")
        unlocked.open("recognise")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take photograph").click()
    expect(page.locator(".stages")).to_be_visible()
    give(page, "drop", ".dropzone", ("note.txt", "text/plain", b"no photograph"))
    expect(page.locator(".problem")).to_contain_text("This is not an image that can be read")
    expect(page.locator(".problem code")).to_have_text("unsupported-image")
    assert unlocked.refused == [415]


def test_a_product_from_its_first_photograph_to_its_end(
    unlocked: Shop, running: RunningService
) -> None:
    photograph = ("new.jpg", "image/jpeg", pictures.jpeg(11))
    page = unlocked.open("recognise")
    give(page, "drop", ".dropzone", photograph)
    expect(page.locator("span.outcome").first).to_have_text("Unknown")
    page.get_by_role("button", name="Teach this product").first.click()
    unlocked.check()
    page.get_by_label("Id", exact=True).fill("faminix-mint-tea")
    page.get_by_label("Name", exact=True).fill("Patchwork quilt")
    page.get_by_role("button", name="Add product").click()
    # Nothing is overwritten; what is there can be looked at.
    expect(page.locator(".problem")).to_contain_text("There is such a product already")
    expect(page.locator(".problem code")).to_have_text("version-conflict")
    there = page.get_by_role("link", name="Open faminix-mint-tea")
    expect(there).to_have_attribute("href", "#product/faminix-mint-tea")
    unlocked.check()
    page.get_by_label("Id", exact=True).fill("40 quilt")
    page.get_by_role("button", name="Add product").click()
    expect(page.locator(".uploads .state")).to_have_text("added")
    expect(page.locator(".references li")).to_have_count(1)

    # It is recognised from here on.
    unlocked.open("recognise")
    give(page, "drop", ".dropzone", photograph)
    expect(page.locator(".result h2").first).to_have_text("Patchwork quilt")

    # Name and metadata, each value as what it is.
    unlocked.open("product/40%20quilt")
    page.get_by_label("Name", exact=True).fill("Quilt")
    for name, value in (("shelf", "7"), ("lot", '"7"'), ("kind", "wool")):
        page.get_by_role("button", name="Add an entry").click()
        page.get_by_label("Name of the entry").last.fill(name)
        page.get_by_label("Value of the entry").last.fill(value)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("form .good")).to_have_text("Saved.")
    stored = running.client.get("/gallery/products/40%20quilt").json()
    assert (stored["name"], stored["metadata"]) == (
        "Quilt",
        {"shelf": 7, "lot": "7", "kind": "wool"},
    )

    # More photographs, each with an end of its own.
    give(
        page,
        "drop",
        ".dropzone",
        ("side.jpg", "image/jpeg", pictures.jpeg(12)),
        ("broken.jpg", "image/jpeg", b"no photograph"),
    )
    expect(page.locator(".uploads .bad")).to_contain_text("This is not an image that can be read")
    expect(page.locator(".references li")).to_have_count(2)
    unlocked.check()
    page.locator(".references li").last.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    expect(page.locator(".references li")).to_have_count(2)
    page.locator(".references li").last.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator(".references li")).to_have_count(1)
    # Saved again without a conflict: the photographs were this page's own change.
    page.get_by_role("button", name="Save").click()
    expect(page.locator("form .good")).to_have_text("Saved.")

    page.get_by_role("button", name="Remove product…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove product").click()
    expect(page.locator("h1")).to_have_text("Gallery")
    assert_problem(running.client.get("/gallery/products/40%20quilt"), 404, "unknown-product")
    assert unlocked.refused == [412, 415]


def test_metadata_that_nobody_touched_stays_as_it_was(
    unlocked: Shop, running: RunningService
) -> None:
    address = "/gallery/products/kept"
    kept = (
        r""""lines":"a\nb","lead":" lead","big":12345678901234567890,"":"no name"," key ":1.0,"""
        r""""two\nlines":true,"7":"7","__proto__":"\"q\"","empty":"","none":null,"""
        r""""deep":{"big":[98765432109876543210,"},{\"x\":\\"]}"""
    )
    body = f'{{"name":"Kept","metadata":{{{kept}}}}}'
    headers = {"Content-Type": "application/json"}
    assert running.client.put(address, content=body, headers=headers).is_success
    page = unlocked.open("product/kept")
    expect(page.get_by_label("Value of the entry").first).to_have_value(r'"a\nb"')

    def saved() -> str:
        page.get_by_role("button", name="Save").click()
        expect(page.locator("form .good")).to_have_text("Saved.")
        return running.client.get(address).text

    page.get_by_label("Name", exact=True).fill("Kept as it was")
    assert f'"metadata":{{{kept}}}' in saved()
    page.get_by_label("Value of the entry").nth(2).fill("12345678901234567891")
    page.get_by_label("Name of the entry").nth(1).fill("led")
    changed = kept.replace("4567890,", "4567891,").replace('"lead"', '"led"')
    assert f'"metadata":{{{changed}}}' in saved()
    assert running.client.delete(address).is_success
    assert unlocked.refused == []


def test_doubts_about_photographs_are_told(
    unlocked: Shop, running: RunningService, samples: Path
) -> None:
    address = "/gallery/products/twin"
    assert running.client.put(address, json={"name": "Twin of the mint tea"}).is_success
    page = unlocked.open("product/twin")
    expect(page.locator(".dropzone")).to_be_visible()
    tea = samples / "references" / "faminix-mint-tea" / "01.jpg"
    files = (("small.jpg", pictures.jpeg(13)), ("tea.jpg", tea.read_bytes()))
    give(page, "drop", ".dropzone", *((name, "image/jpeg", data) for name, data in files))
    small, alike = (page.locator(".uploads li", has_text=name) for name, _ in files)
    for row in (small, alike):
        expect(row.locator(".state")).to_have_text("added")
        expect(row).to_have_class("doubtful")
    expect(small).to_contain_text("The photograph is 120 × 90 pixels")
    expect(small).to_contain_text("No clear body is seen.")
    expect(alike).to_contain_text("It looks like Faminix Mint Tea 20 bags, 'faminix-mint-tea'")
    unlocked.check()
    alike.get_by_role("link", name="Open faminix-mint-tea").click()
    expect(page.locator("h1")).to_have_text("Faminix Mint Tea 20 bags")
    assert running.client.delete(address).is_success
    assert unlocked.refused == []


def test_a_change_by_somebody_else_is_not_overwritten(
    unlocked: Shop, running: RunningService
) -> None:
    page = unlocked.open("product/faminix-mint-tea")
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    product = running.client.get("/gallery/products/faminix-mint-tea").json()
    changed = product["metadata"] | {"seen": product["version"]}
    body = {"name": product["name"], "metadata": changed}
    assert running.client.put("/gallery/products/faminix-mint-tea", json=body).is_success
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".problem code")).to_have_text("version-conflict")
    assert unlocked.refused == [412]


def test_the_gallery_is_browsed_and_searched(unlocked: Shop, running: RunningService) -> None:
    for number in range(60):
        body = {"name": f"Jar {number}"}
        assert running.client.put(f"/gallery/products/zz-{number:02}", json=body).is_success
    total = running.client.get("/gallery").json()["products"]
    page = unlocked.open("gallery")
    cards = page.locator(".product-card")
    expect(cards).to_have_count(60)
    # Also what is on a later page.
    page.get_by_label("Search").fill("JAR 5")
    expect(cards).to_have_count(11)
    expect(page.locator(".tools .hint")).to_have_text(f"11 found among {total} products")
    unlocked.check()
    page.get_by_label("Search").fill("")
    expect(cards).to_have_count(60)
    expect(page.locator(".tools .hint")).to_have_text(f"60 loaded of {total}")
    assert_shown(page.locator(".product-card img").first)
    unlocked.check()
    page.get_by_role("button", name="Load more").click()
    expect(cards).to_have_count(total)
    expect(page.get_by_role("button", name="Load more")).to_be_hidden()
    page.get_by_label("Search").fill("no such thing")
    expect(page.locator(".tools .hint")).to_have_text(f"0 found among {total} products")
    page.get_by_label("Search").fill("mint TEA")
    expect(cards).to_have_count(1)
    page.get_by_label("Search").fill("zz-17")
    expect(cards).to_contain_text("Jar 17")
    cards.click()
    expect(page.locator("h1")).to_have_text("Jar 17")
    assert unlocked.refused == []


def test_the_samples_are_removed_all_at_once(browser: Browser, tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        # Before the samples by their ids, more than a page; marked as samples are, and none.
        for number in range(61):
            body = {"name": f"Mine {number}", "metadata": {"sample": True}}
            service.client.put(f"/gallery/products/40063813339{number:02}", json=body)
        context = browser.new_context()
        context.set_default_timeout(PATIENCE)
        shop = Shop(context.new_page(), service.url)
        page = shop.open("gallery")
        expect(page.locator(".product-card")).to_have_count(60)
        expect(page.get_by_text("12 products here came as samples.")).to_be_visible()
        shop.check()
        page.get_by_role("button", name="Remove samples…").click()
        page.get_by_role("button", name="Keep").click()
        assert service.client.get("/gallery").json()["products"] == 73
        page.get_by_role("button", name="Remove samples…").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove samples").click()
        expect(page.get_by_role("button", name="Remove samples…")).to_be_hidden()
        expect(page.locator(".tools .hint")).to_have_text("60 loaded of 61")
        assert service.client.get("/gallery/samples").json() == {"products": []}
        context.close()
        assert (shop.outside, shop.errors, shop.refused) == ([], [], [])


def test_an_archive_is_checked_and_imported(unlocked: Shop, running: RunningService) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("products.csv", "id,name,metadata\n4001,Apple juice,\n4003,Bad,[1]\n")
        archive.writestr("4001/front.jpg", pictures.jpeg(21))
        archive.writestr("4001/broken.jpg", b"no image")
    sent = ("shop.zip", "application/zip", buffer.getvalue())
    page = unlocked.open("import")
    give(page, "drop", ".dropzone", sent)
    expect(page.locator("h2")).to_have_text("Checked; nothing was stored")
    expect(page.locator(".job .figures")).to_contain_text("1 product would be created")
    expect(page.locator(".errors tbody tr")).to_have_count(2)
    expect(page.locator(".errors")).to_contain_text("4001/broken.jpg")
    unlocked.check()
    assert running.client.get("/gallery/products/4001").status_code == 404
    page.get_by_role("button", name="Import it now").click()
    expect(page.locator("h2")).to_have_text("Imported")
    assert running.client.get("/gallery/products/4001").json()["image_count"] == 1
    page.reload()  # the job is in the address
    expect(page.locator("h2")).to_have_text("Imported")
    running.client.delete("/gallery/products/4001")
    give(page, "drop", ".dropzone", ("shop.zip", "application/zip", b"no archive"))
    expect(page.locator(".problem code")).to_have_text("unusable-archive")
    assert unlocked.refused == [422]


def test_an_import_is_found_again_and_cancelled(unlocked: Shop, running: RunningService) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for seed in range(400):  # more than it can take until it is cancelled
            archive.writestr(f"4001/{seed}.jpg", pictures.jpeg(seed))
    page = unlocked.open("import")
    give(page, "drop", ".dropzone", ("shop.zip", "application/zip", buffer.getvalue()))
    expect(page.locator("h2")).to_have_text("Checking…")
    page = unlocked.open("import")
    page.get_by_role("link", name="Checking…").click()
    page.get_by_role("button", name="Cancel…").click()
    unlocked.check()
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    expect(page.locator(".job h2")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel…")).to_be_hidden()
    expect(page.locator(".job .hint")).to_contain_text("Cancelled by")
    assert running.client.get("/jobs").json()["jobs"][0]["state"] == "cancelled"
    assert unlocked.refused == []


def test_a_job_is_watched_on_when_the_service_is_back(unlocked: Shop) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("4001/front.jpg", pictures.jpeg(21))
    page = unlocked.open("import")
    answers = iter([503, 503])
    page.route("**/jobs/*", lambda route: route.fulfill(status=next(answers)), times=2)
    give(page, "drop", ".dropzone", ("shop.zip", "application/zip", buffer.getvalue()))
    expect(page.locator("h2")).to_have_text("Checked; nothing was stored")
    expect(page.locator(".problem")).to_have_count(0)
    expect(page.get_by_role("button", name="Import it now")).to_be_visible()
    assert unlocked.refused == [503, 503]


def test_numbers_of_a_job_are_written_in_one_way(unlocked: Shop) -> None:
    job = {"id": "1", "kind": "import", "state": "done", "dry_run": False, "errors": []}
    counts = {"created": 0, "changed": 0, "added": 1003, "duplicates": 1102, "embedded_again": 0}
    found = {**job, **counts, "done": 2105, "total": 2105, "failed": 0}
    unlocked.page.route("**/jobs/1", lambda route: route.fulfill(json=found))
    page = unlocked.open("import/1")
    figures = "2,105 of 2,105 items · 1,003 photographs added · 1,102 already there"
    expect(page.locator(".job .figures")).to_have_text(figures)


def test_a_job_tells_what_it_waits_for(unlocked: Shop) -> None:
    job = {"id": "1", "kind": "import", "state": "running", "dry_run": False, "errors": []}
    counts = {"created": 0, "changed": 0, "added": 1, "duplicates": 0, "embedded_again": 0}
    found = {**job, **counts, "done": 1, "total": 2, "failed": 0, "detail": "It waits."}
    unlocked.page.route("**/jobs/1", lambda route: route.fulfill(json=found))
    page = unlocked.open("import/1")
    expect(page.get_by_text("It waits.")).to_be_visible()
    found |= {"state": "done", "done": 2, "detail": None}
    expect(page.locator(".job h2")).to_have_text("Imported")
    expect(page.get_by_text("It waits.")).to_be_hidden()


def test_health_tells_what_the_service_does(unlocked: Shop, running: RunningService) -> None:
    page = unlocked.open("health")
    expect(page.locator(".ready")).to_have_text("Ready to answer")
    gallery = running.client.get("/gallery").json()
    for name, value in (
        ("Products", f"{gallery['products']:,}"),
        ("Photographs", f"{gallery['images']:,}"),
        ("Revision", f"{gallery['revision']:,}"),
        ("Index", gallery["index"]["state"]),
        ("Faults of the service", "0"),
    ):
        tile = page.locator(".tiles div", has=page.get_by_text(name, exact=True))
        expect(tile.locator("dd").first).to_have_text(value)
    expect(page.locator(".facts")).to_contain_text(gallery["model"]["fingerprint"])
    unlocked.check()
    assert unlocked.refused == []


def test_a_key_is_asked_for_and_kept_in_the_tab(shop: Shop, key: tuple[Path, str]) -> None:
    page = shop.open("gallery")
    asked = page.get_by_role("dialog", name="API key")
    expect(asked).to_contain_text("This call needs a key")
    shop.check()
    asked.get_by_label("Key", exact=True).fill("tillsight_mistyped")
    page.keyboard.press("Enter")
    expect(asked).to_contain_text("This is not a key in use")
    asked.get_by_label("Key", exact=True).fill(key[1])
    page.keyboard.press("Enter")
    expect(page.locator(".product-card").first).to_be_visible()
    kept = "[sessionStorage.getItem('tillsight-key'), localStorage.length, document.cookie]"
    assert page.evaluate(kept) == [key[1], 0, ""]
    assert shop.refused == [401, 401]


def test_without_a_key_the_page_says_so(shop: Shop) -> None:
    page = shop.open("gallery")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".problem code")).to_have_text("missing-key")
    assert shop.refused == [401]


def test_the_content_is_one_key_away(unlocked: Shop) -> None:
    page = unlocked.open("recognise")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("button", has_text="Choose a photograph")).to_be_focused()


def test_files_are_kept_by_browsers_for_as_long_as_they_are_true(running: RunningService) -> None:
    index = running.client.get("/")
    assert index.headers["cache-control"] == "no-cache"
    linked = set(re.findall(r'"(/page/[^"]+)"', index.text))
    assert {link.rsplit("/", 1)[1] for link in linked} == {
        path.name for path in PAGE.iterdir() if path.name != "index.html"
    }
    for link in linked:
        answer = running.client.get(link)
        assert answer.content == (PAGE / link.rsplit("/", 1)[1]).read_bytes()
        assert "immutable" in answer.headers["cache-control"]
    gone = running.client.get("/page/0123456789abcdef/main.js")
    assert_problem(gone, 404, "not-found")
    assert gone.headers["cache-control"] == "no-store"
