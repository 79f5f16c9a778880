"""The audit trail: whose key changed what, by which request, before and after."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.http.application import create_app
from app.keys import Key, Scope, create_key
from app.service import Service
from app.settings import Settings
from tests.app import pictures
from tests.app.test_http_import import archive


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Key]]:
    """A client with the key of the office, which may change the gallery."""
    folder = tmp_path_factory.mktemp("history")
    key, token = create_key(folder / "keys.json", "office", [Scope.GALLERY])
    settings = Settings(data_dir=folder, sample_gallery=False, exit_when_stuck=0)
    with closing(Service(settings)) as service, TestClient(create_app(service)) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client, key


def history(client: TestClient, **query: object) -> dict[str, Any]:
    answer = client.get("/gallery/history", params=query)
    assert answer.is_success
    found: dict[str, Any] = answer.json()
    return found


def test_a_change_is_its_key_s_and_its_request_s(keyed: tuple[TestClient, Key]) -> None:
    client, key = keyed
    client.put("/gallery/products/juice", json={"name": "Juice"}, headers={"X-Request-ID": "one"})
    body = {"name": "Juice 1 l", "metadata": {"shelf": 7}}
    client.put("/gallery/products/juice", json=body, headers={"X-Request-ID": "two"})
    new, old = history(client, product_id="juice")["entries"]
    assert (new["author"], new["request_id"]) == (f"office ({key.id})", "two")
    assert new["before"] == old["after"] == {"name": "Juice", "metadata": {}, "images": 0}
    assert new["after"] == body | {"images": 0}
    assert (old["before"], old["request_id"]) == (None, "one")


def test_an_image_is_known_by_its_content(keyed: tuple[TestClient, Key]) -> None:
    client, key = keyed
    client.put("/gallery/products/bread", json={"name": "Bread"})
    added = client.post("/gallery/products/bread/images", files={"images": pictures.jpeg(1)})
    image_id = added.json()["images"][0]["id"]
    content = client.get(f"/gallery/images/{image_id}").json()["content_sha256"]
    client.delete(f"/gallery/images/{image_id}")
    entries = history(client, product_id="bread", author=key.label)["entries"]
    assert [(entry["kind"], entry["image_id"]) for entry in entries] == [
        ("delete image", image_id),
        ("add image", image_id),
        ("put product", None),
    ]
    assert entries[0]["before"] == entries[1]["after"] == {"content_sha256": content}
    assert entries[1]["request_id"] == added.headers["x-request-id"]


def test_what_a_job_does_is_its_starter_s(keyed: tuple[TestClient, Key]) -> None:
    client, key = keyed
    shop = archive({"rice/1.jpg": pictures.jpeg(2)})
    headers = {"Content-Type": "application/zip", "X-Request-ID": "import-1"}
    accepted = client.post("/gallery/import", content=shop, headers=headers)
    address = f"/jobs/{accepted.json()['job_id']}"
    while (job := client.get(address).json())["finished_at"] is None:
        time.sleep(0.05)
    assert (job["author"], job["request_id"]) == (key.label, "import-1")
    entries = history(client, product_id="rice")["entries"]
    assert [entry["kind"] for entry in entries] == ["add image", "put product"]
    assert {(entry["author"], entry["request_id"]) for entry in entries} == {
        (key.label, "import-1")
    }


def test_pages_lead_from_the_newest_to_the_oldest(keyed: tuple[TestClient, Key]) -> None:
    client, _ = keyed
    for number in range(5):
        client.put("/gallery/products/page", json={"name": f"Page {number}"})
    whole = history(client)["entries"]
    parts, cursor = [], None
    while True:
        page = history(client, limit=2, **({"cursor": cursor} if cursor else {}))
        parts += page["entries"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert parts == whole
    assert len({entry["at"] for entry in whole}) > 1
    assert history(client, author="nobody")["entries"] == []


def test_without_keys_there_is_no_name(client: TestClient) -> None:
    answer = client.put("/gallery/products/x", json={"name": "X"})
    (entry,) = history(client, product_id="x", limit=1)["entries"]
    assert entry["author"] is None
    assert entry["request_id"] == answer.headers["x-request-id"]
