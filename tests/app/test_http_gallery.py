import io
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.service import Service
from gallery.records import Image as StoredImage
from tests.app import pictures
from tests.app.problems import assert_problem


def put(client: TestClient, product_id: str = "sku-1", name: str = "Oat milk") -> None:
    answer = client.put(f"/gallery/products/{product_id}", json={"name": name})
    assert answer.status_code in (200, 201), answer.text


def add(client: TestClient, product_id: str, *files: bytes):
    parts = [("images", (f"{i}.jpg", data, "image/jpeg")) for i, data in enumerate(files)]
    return client.post(f"/gallery/products/{product_id}/images", files=parts)


def test_a_product_is_created_then_replaced(client: TestClient) -> None:
    body = {"name": "Oat milk", "metadata": {"brand": "Sunhill", "litres": 1.5, "tags": ["vegan"]}}
    created = client.put("/gallery/products/4006381333931", json=body)
    assert created.status_code == 201
    assert created.json()["metadata"] == body["metadata"]
    replaced = client.put("/gallery/products/4006381333931", json={"name": "Oat drink"})
    assert replaced.status_code == 200
    seen = client.get("/gallery/products/4006381333931").json()
    assert (seen["name"], seen["metadata"], seen["image_count"]) == ("Oat drink", {}, 0)
    assert seen["created_at"] <= seen["updated_at"]


def test_images_are_searchable_when_the_answer_arrives(client: TestClient) -> None:
    put(client)
    answer = add(client, "sku-1", pictures.jpeg(1), pictures.jpeg(2))
    assert answer.status_code == 201
    entries = answer.json()["images"]
    assert [entry["filename"] for entry in entries] == ["0.jpg", "1.jpg"]
    found = client.post("/recognize?detect=false", files={"image": pictures.jpeg(2)}).json()[
        "results"
    ][0]
    assert found["outcome"] == "match"
    assert found["product"]["id"] == "sku-1"
    assert found["candidates"][0]["image_id"] == entries[1]["id"]
    assert found["score"] == pytest.approx(1, abs=2e-3)


def test_the_thumbnail_is_the_picture(client: TestClient) -> None:
    put(client)
    image_id = add(client, "sku-1", pictures.jpeg(1)).json()["images"][0]["id"]
    info = client.get(f"/gallery/images/{image_id}").json()
    assert (info["product_id"], info["width"], info["height"]) == ("sku-1", 120, 90)
    thumbnail = client.get(f"/gallery/images/{image_id}/thumbnail")
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(thumbnail.content)).size == (120, 90)


def test_the_same_image_twice_is_one_reference(client: TestClient) -> None:
    put(client)
    first = add(client, "sku-1", pictures.jpeg(1)).json()["images"][0]
    again = add(client, "sku-1", pictures.jpeg(1))
    assert again.status_code == 201
    (entry,) = again.json()["images"]
    assert (entry["filename"], entry["id"], entry["duplicate"]) == ("0.jpg", first["id"], True)
    assert client.get("/gallery/products/sku-1").json()["image_count"] == 1


def test_each_file_succeeds_or_fails_on_its_own(client: TestClient) -> None:
    put(client)
    answer = add(client, "sku-1", pictures.jpeg(1), b"not an image", pictures.jpeg(2)[:900])
    assert answer.status_code == 201
    good, unsupported, damaged = answer.json()["images"]
    assert good["id"]
    assert "error" not in good
    assert unsupported["error"]["code"] == "unsupported-image"
    assert damaged["error"]["code"] == "damaged-image"
    assert client.get("/gallery").json()["images"] == 1


def test_when_no_file_can_be_taken_the_answer_is_the_problem(client: TestClient) -> None:
    put(client)
    assert_problem(add(client, "sku-1", b"no", b"nor this"), 415, "unsupported-image")
    assert client.get("/gallery").json()["images"] == 0


def test_what_is_deleted_is_never_found_again(client: TestClient) -> None:
    put(client)
    put(client, "sku-2", "Rye bread")
    image_id = add(client, "sku-1", pictures.jpeg(1)).json()["images"][0]["id"]
    add(client, "sku-2", pictures.jpeg(2))
    deleted = client.delete(f"/gallery/images/{image_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-type" not in deleted.headers
    assert_problem(client.get(f"/gallery/images/{image_id}"), 404, "unknown-image")
    assert_problem(client.get(f"/gallery/images/{image_id}/thumbnail"), 404, "unknown-image")
    assert client.delete("/gallery/products/sku-2").status_code == 204
    assert_problem(client.get("/gallery/products/sku-2"), 404, "unknown-product")
    for seed in (1, 2):
        answer = client.post("/recognize", files={"image": pictures.jpeg(seed)}).json()
        assert all(not item["candidates"] for item in answer["results"])


def test_nobody_overwrites_a_change_they_have_not_seen(client: TestClient) -> None:
    path = "/gallery/products/sku-1"
    only_new = {"If-None-Match": "*"}
    created = client.put(path, json={"name": "Oat milk"}, headers=only_new)
    assert created.status_code == 201
    there = client.put(path, json={"name": "x"}, headers=only_new)
    problem = assert_problem(there, 412, "version-conflict")
    assert problem["detail"].startswith("There is a product 'sku-1' already")

    seen = created.headers["ETag"]
    assert client.get(path).headers["ETag"] == seen
    # As a proxy that compresses writes it.
    changed = client.put(path, json={"name": "Oat drink"}, headers={"If-Match": f"W/{seen}"})
    assert changed.status_code == 200
    stale = {"If-Match": seen}
    assert_problem(client.put(path, json={"name": "x"}, headers=stale), 412, "version-conflict")
    assert_problem(client.delete(path, headers=stale), 412, "version-conflict")
    assert client.get(path).json()["name"] == "Oat drink"
    # New images are a change of the product too.
    add(client, "sku-1", pictures.jpeg(1))
    stale = {"If-Match": changed.headers["ETag"]}
    assert_problem(client.delete(path, headers=stale), 412, "version-conflict")
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 204
    assert_problem(client.delete(path, headers={"If-Match": "*"}), 404, "unknown-product")


def test_a_product_that_changes_while_it_is_read_is_counted_as_it_is_listed(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("/gallery/products/sku-1", json={"name": "Oat milk"})
    added = add(client, "sku-1", pictures.jpeg(1), pictures.jpeg(2)).json()["images"]
    listed = service.gallery.list_images

    def changed(product_id: str) -> list[StoredImage]:
        service.gallery.delete_image(added[0]["id"])
        return listed(product_id)

    monkeypatch.setattr(service.gallery, "list_images", changed)
    answer = client.get("/gallery/products/sku-1")
    assert answer.json()["image_count"] == len(answer.json()["images"]) == 1
    stale = {"If-Match": answer.headers["ETag"]}
    problem = client.put("/gallery/products/sku-1", json={"name": "x"}, headers=stale)
    assert_problem(problem, 412, "version-conflict")


def test_any_version_will_do_while_others_change_it(client: TestClient) -> None:
    def change(path: str) -> list[int]:
        there = {"If-Match": "*"}
        return [client.put(path, json={"name": "x"}, headers=there).status_code for _ in range(50)]

    path = "/gallery/products/sku-1"
    assert change(path) == [404] * 50
    client.put(path, json={"name": "Oat milk"})
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(change, [path] * 4)) == [[200] * 50] * 4
    assert client.get("/gallery").json()["products"] == 1


@pytest.mark.parametrize("header", [{"If-Match": "17"}, {"If-Match": ""}, {"If-None-Match": '"1"'}])
def test_malformed_preconditions(client: TestClient, header: dict[str, str]) -> None:
    answer = client.put("/gallery/products/sku-1", json={"name": "x"}, headers=header)
    assert_problem(answer, 400, "malformed-precondition")
    assert client.get("/gallery").json()["products"] == 0


def test_changes_since_a_revision(client: TestClient) -> None:
    before = client.get("/gallery").json()["revision"]
    put(client)
    image_id = add(client, "sku-1", pictures.jpeg(1)).json()["images"][0]["id"]
    client.delete(f"/gallery/images/{image_id}")
    changes = client.get("/gallery/changes", params={"after": before}).json()["changes"]
    assert [item["sequence"] for item in changes] == [before + 1, before + 2, before + 3]
    assert {item["product_id"] for item in changes} == {"sku-1"}
    assert [item["image_id"] for item in changes] == [None, image_id, image_id]
    ahead = client.get("/gallery/changes", params={"after": before + 4})
    assert_problem(ahead, 410, "history-forgotten")


def test_paging_reaches_every_product_once(client: TestClient) -> None:
    ids = [f"p{i:02}" for i in range(7)]
    for product_id in ids:
        put(client, product_id)
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/gallery/products", params={"limit": 3, "cursor": cursor or ""}).json()
        seen += [item["id"] for item in page["products"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids


def test_products_are_found_by_text_and_metadata(client: TestClient) -> None:
    for number in range(5):
        body = {"name": f"Müsli {number}", "metadata": {"shelf": number % 2}}
        assert client.put(f"/gallery/products/40{number}", json=body).is_success

    def found(**query: object) -> tuple[list[str], str | None]:
        page = client.get("/gallery/products", params=query).json()
        return [product["id"] for product in page["products"]], page["next_cursor"]

    assert found(q="MÜSLI", limit=3) == (["400", "401", "402"], "402")
    assert found(q="MÜSLI", limit=3, cursor="402") == (["403", "404"], None)
    assert found(q="402") == (["402"], None)
    assert found(where='{"shelf": 1}', limit=1) == (["401"], "401")
    assert found(q="3", where='{"shelf": 1}') == (["403"], None)
    assert found(q="", where="{}")[0] == found()[0] == [f"40{number}" for number in range(5)]
    wrong = client.get("/gallery/products", params={"where": "[]"})
    assert_problem(wrong, 422, "invalid-filter")


def test_the_gallery_tells_counts_revision_index_and_model(client: TestClient) -> None:
    before = client.get("/gallery").json()
    put(client)
    add(client, "sku-1", pictures.jpeg(1))
    after = client.get("/gallery").json()
    assert (after["products"], after["images"]) == (1, 1)
    assert after["revision"] > before["revision"]
    assert after["index"]["state"] == "ready"
    assert after["model"]["dimension"] == 512
    assert after["model"]["fingerprint"]


@pytest.mark.parametrize("product_id", ["näh-🧀", "a b", "GTIN:4006381333931", "x" * 128])
def test_ids_of_the_client_come_back_as_they_were(client: TestClient, product_id: str) -> None:
    path = f"/gallery/products/{quote(product_id, safe='')}"
    assert client.put(path, json={"name": "x"}).status_code == 201
    assert client.get(path).json()["id"] == product_id


@pytest.mark.parametrize(
    "name",
    ["Jus d'orange 1\u00a0l", "1\u202f000 g", "全脂\u3000牛乳", "می\u200cخواهم", "क्\u200dष",
     "👨\u200d👩\u200d👧", "\u200fשוקו 3%", "Milch\u00adkaffee"],
    ids=ascii,
)  # fmt: skip
def test_names_of_any_script_come_back_as_they_were(client: TestClient, name: str) -> None:
    put(client, "1", name)
    assert client.get("/gallery/products/1").json()["name"] == name


@pytest.mark.parametrize(
    ("name", "told"),
    [("a\u0085b", "U+0085"), ("a\tb", "U+0009"), ("a\u2028b", "U+2028 (LINE SEPARATOR)"),
     ("a\ue000b", "U+E000"), ("a\ufffeb", "U+FFFE"),
     ("\u200b\u200d", "nothing in it can be seen"),
     ("a\u202eb", "U+202E (RIGHT-TO-LEFT OVERRIDE)"), ("a\u2069b", "U+2069 (POP DIR")],
    ids=ascii,
)  # fmt: skip
def test_what_no_name_holds_is_told(client: TestClient, name: str, told: str) -> None:
    answer = client.put("/gallery/products/1", json={"name": name})
    assert f"name: {told}" in assert_problem(answer, 422, "invalid-request")["detail"]


def test_what_can_not_be_seen_in_an_id_is_told(client: TestClient) -> None:
    answer = client.put("/gallery/products/a%C2%A0b", json={"name": "x"})
    detail = assert_problem(answer, 422, "invalid-request")["detail"]
    assert "id: U+00A0 (NO-BREAK SPACE) is not allowed" in detail


@pytest.mark.parametrize("path", ["x" * 129, "x" * 10_000, "%20a", "a%00b", "a%0ab", "..%5Ca"])
def test_ids_that_could_do_harm_are_refused(client: TestClient, path: str) -> None:
    assert_problem(
        client.put(f"/gallery/products/{path}", json={"name": "x"}), 422, "invalid-request"
    )


@pytest.mark.parametrize("path", ["caf%E9", "caf%E8", "caf%EF%BF%BD"])
def test_ids_that_were_not_utf8_are_refused(client: TestClient, path: str) -> None:
    answer = client.put(f"/gallery/products/{path}", json={"name": "Coffee"})
    assert "send UTF-8" in assert_problem(answer, 422, "invalid-request")["detail"]


@pytest.mark.parametrize("product_id", ["caf\ufffd", "cafe\u0301"])
def test_ids_of_old_galleries_are_reached_as_they_are(
    client: TestClient, service: Service, product_id: str
) -> None:
    service.gallery.put_product(product_id, "Coffee", {})
    path = f"/gallery/products/{quote(product_id)}"
    assert add(client, quote(product_id), pictures.jpeg(1)).status_code == 201
    assert client.get(path).json()["id"] == product_id
    assert client.delete(path).status_code == 204


@pytest.mark.parametrize("path", ["a%2Fb", "..%2F..%2Fetc%2Fpasswd", "a/b/c"])
def test_ids_with_slashes_are_not_found_and_the_answer_says_why(
    client: TestClient, path: str
) -> None:
    problem = assert_problem(
        client.put(f"/gallery/products/{path}", json={"name": "x"}), 404, "not-found"
    )
    assert "no slash" in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b'{"name": ""}',
        b'{"name": 5}',
        b'{"name": "a\\nb"}',
        b'{"name": "x", "price": 1}',
        b'{"name": "x", "metadata": {"a": NaN}}',
        b'{"name": "x", "metadata": {"a": 1e999}}',
        b'{"name": "x", "metadata": [1]}',
        b'{"name": "\\ud800"}',
        b'{"name": "x", "metadata": {"\\ud800": 1}}',
        b'{"name": "x", "metadata": {"a": ' + b"[" * 50 + b"]" * 50 + b"}}",
        b'{"name": "x", "metadata": {"a": "' + b"y" * 20_000 + b'"}}',
        b'{"name": "' + b"y" * 300 + b'"}',
        b"\xff\xfe",
    ],
)
def test_bad_products_are_refused_and_nothing_is_stored(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = client.put("/gallery/products/sku-1", content=body, headers=headers)
    assert_problem(answer, (400, 422))
    assert client.get("/gallery").json()["products"] == 0


def test_a_large_document_is_refused(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    answer = client.put("/gallery/products/a", content=b" " * 2_000_000, headers=headers)
    assert_problem(answer, 413, "request-too-large")


def test_unknown_product_and_image(client: TestClient) -> None:
    assert_problem(client.get("/gallery/products/none"), 404, "unknown-product")
    assert_problem(client.delete("/gallery/products/none"), 404, "unknown-product")
    assert_problem(add(client, "none", pictures.jpeg(1)), 404, "unknown-product")
    assert_problem(client.get("/gallery/images/none"), 404, "unknown-image")
    assert_problem(client.delete("/gallery/images/none"), 404, "unknown-image")


def test_a_nonsense_cursor_is_an_error_or_a_page(client: TestClient) -> None:
    answer = client.get("/gallery/products", params={"cursor": "\x00 nonsense"})
    assert answer.status_code in (200, 422)
