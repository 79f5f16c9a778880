"""The page of a running service in a real browser, and what went wrong on it."""

import base64
import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

REFUSED = re.compile(
    r"Failed to load resource: (?:the server responded with a status of (\d+)|net::ERR_)"
)
# A limit, not a measure: machines of tests are busy.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


class Shop:
    """A page of the running service, and what the browser saw go wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.refused: list[int] = []
        page.on("request", self._note_request)
        page.on("console", self._note_line)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, view: str) -> Page:
        self.page.goto(f"{self.url}/#{view}")
        expect(self.page.locator("h1")).to_be_visible()
        return self.page

    def check(self) -> None:
        """Nothing runs off the side, and axe finds nothing serious, light and dark."""
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not self.page.evaluate(wide)
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            found = Axe().run(self.page).response["violations"]
            grave = [
                (item["id"], [node["html"] for node in item["nodes"]])
                for item in found
                if item["impact"] in ("serious", "critical")
            ]
            assert grave == [], scheme

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "blob:")):
            self.outside.append(request.url)

    def _note_line(self, line: ConsoleMessage) -> None:
        refused = REFUSED.match(line.text)
        if refused:  # by the service, or 0 for no answer: the test says which it expects
            self.refused.append(int(refused[1] or 0))
        elif line.type in ("error", "warning"):
            self.errors.append(line.text)


def assert_shown(picture: Locator) -> None:
    """Not by polling in the page: its policy refuses the eval of that."""
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    assert picture.evaluate("async (one) => { await one.decode(); return one.naturalWidth; }") > 0


def give(page: Page, event: str, target: str, *files: tuple[str, str, bytes]) -> None:
    """Drop files on the element, or paste them there."""
    sent = [(name, kind, base64.b64encode(data).decode()) for name, kind, data in files]
    page.evaluate(
        """([event, target, files]) => {
            const transfer = new DataTransfer();
            for (const [name, type, data] of files) {
                const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type }));
            }
            const made = { bubbles: true, cancelable: true };
            document.querySelector(target).dispatchEvent(
                event === "drop"
                    ? new DragEvent("drop", { ...made, dataTransfer: transfer })
                    : new ClipboardEvent("paste", { ...made, clipboardData: transfer }),
            );
        }""",
        [event, target, sent],
    )
