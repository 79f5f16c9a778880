import re
from pathlib import Path
from typing import get_args

from starlette.testclient import TestClient

from app.http.access import ACCESS
from app.http.problems import DOMAIN_PROBLEMS, HTTP_CODES
from app.jobs import ItemCode
from app.settings import Settings
from tests.app.documents import ROOT, read
from tests.app.test_openapi import OPERATIONS

# What `/` and `/docs` load.
OF_PAGES = ("/page", "/static-offline-docs")


def rows(document: str) -> list[list[str]]:
    lines = (ROOT / "docs" / document).read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith(("| `", "| no key |"))]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {name: default for name, default, _ in rows("configuration.md")}
    settings = {
        f"TILLSIGHT_{name.upper()}": str(field.default).lower()
        if isinstance(field.default, bool)
        else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert documented == settings


def test_every_problem_is_documented_with_its_status() -> None:
    documented = {code: int(status) for code, status, _ in rows("errors.md")}
    used = {code: status for _, status, code in DOMAIN_PROBLEMS}
    used |= {code: status for status, code in HTTP_CODES.items()}
    for path in (ROOT / "app").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for status, code in re.findall(
            r'(?:RequestProblem|_problem)\(\s*(\d+),\s*"([\w-]+)"', text
        ):
            used[code] = int(status)
    assert documented == used


def test_the_calls_that_take_an_idempotency_key_are_named(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    taking = {
        f"`{method} {path.replace('product_id', 'id')}`"
        for method, path in OPERATIONS
        for parameter in paths[path][method.lower()].get("parameters", [])
        if parameter["name"] == "idempotency-key"
    }
    assert len(taking) == 3
    for name in ("README.md", "docs/errors.md"):
        (line,) = (line for line in read(name).splitlines() if "take an `Idempotency-Key`" in line)
        assert set(re.findall(r"`POST [^`]+`", line)) == taking


def test_codes_of_items_are_documented() -> None:
    document = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    (line,) = (line for line in document.splitlines() if "an import leaves out" in line)
    assert all(f"`{code}`" in line for code in get_args(ItemCode))


def test_every_path_that_needs_a_key_is_in_the_table_of_scopes() -> None:
    documented = {scope: calls for scope, calls, *_ in rows("operations.md")}
    for call, access in ACCESS.items():
        scope = "no key" if access == "open" else str(access[0])
        if not any(call.startswith(path) for path in OF_PAGES):
            assert f"`{call.rstrip('/')}" in f"`{documented[scope]}`", call


def anchors(document: Path) -> set[str]:
    """As GitHub makes them of the headings."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    assert len(documents) > 12
    for document in documents:
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in link:
                path, _, anchor = link.partition("#")
                target = (document.parent / path).resolve() if path else document
                assert target.exists(), f"{document.name}: {link}"
                assert not anchor or anchor in anchors(target), f"{document.name}: {link}"


def test_no_document_installs_what_no_index_has() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = document.read_text(encoding="utf-8")
        assert not re.search(r"pip install ['\"]?tillsight", text), document.name


def test_the_contents_of_the_benchmarks_are_complete() -> None:
    document = ROOT / "docs" / "benchmarks.md"
    contents, _, sections = document.read_text(encoding="utf-8").partition("<!-- begin ")
    for heading in re.findall(r"^## (.+)$", sections, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        assert f"](#{anchor})" in contents, heading
