import io
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.jobs import Job, StopJob
from app.service import Service
from app.transfer.importing import ARCHIVE, Importer
from gallery import AddedImage, NewImage, Product, UnknownProduct
from tests.app import pictures
from tests.app.problems import assert_problem

ZIP = {"Content-Type": "application/zip"}


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


def shop() -> bytes:
    table = (
        "id,name,metadata,store\n"
        '4001,Apple juice,"{""litres"": 1}",north\n'
        "4002,Rye bread,,\n"
        "a/b,Bad id,,\n"
        '4003,Bad metadata,"[1]",\n'
    )
    return archive(
        {
            "shop/products.csv": table.encode(),
            "shop/4001/front.jpg": pictures.jpeg(1),
            "shop/4001/back.jpg": pictures.jpeg(2),
            "shop/4002/1.jpg": pictures.jpeg(3),
            "shop/unlisted/1.jpg": pictures.jpeg(4),
            "shop/4002/broken.jpg": b"not an image",
            "loose.jpg": pictures.jpeg(5),
            "__MACOSX/shop/4001/._front.jpg": b"shadow",
            "shop/readme.txt": b"ignored",
        }
    )


def run(client: TestClient, data: bytes, query: str = "") -> dict[str, Any]:
    accepted = client.post(f"/gallery/import{query}", content=data, headers=ZIP)
    assert accepted.status_code == 202, accepted.text
    return finished(client, accepted.json()["job_id"])


def finished(client: TestClient, job_id: str) -> dict[str, Any]:
    for _ in range(600):
        job = client.get(f"/jobs/{job_id}").json()
        if job["finished_at"]:
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def test_a_shop_is_imported_and_recognised(client: TestClient) -> None:
    job = run(client, shop())
    assert (job["state"], job["added"], job["duplicates"], job["failed"]) == ("done", 4, 0, 4)
    assert job["done"] == job["total"] == 10
    assert (job["created"], job["changed"]) == (3, 0)
    assert {error["item"] for error in job["errors"]} == {
        "shop/products.csv:4",
        "shop/products.csv:5",
        "shop/4002/broken.jpg",
        "loose.jpg",
    }
    product = client.get("/gallery/products/4001").json()
    assert (product["name"], product["image_count"]) == ("Apple juice", 2)
    assert product["metadata"] == {"litres": 1, "store": "north"}
    assert client.get("/gallery/products/unlisted").json()["name"] == "unlisted"
    seen = client.post("/recognize?detect=false", files={"image": pictures.jpeg(2)}).json()
    assert seen["results"][0]["product"]["id"] == "4001"


def test_a_photograph_of_nothing_is_refused_by_its_name(client: TestClient) -> None:
    black = pictures.encode(Image.new("RGB", (300, 200), (8, 8, 8)), "JPEG")
    job = run(client, archive({"4001/1.jpg": pictures.jpeg(1), "4001/2.jpg": black}))
    assert (job["state"], job["added"], job["failed"]) == ("done", 1, 1)
    (error,) = job["errors"]
    assert (error["item"], error["code"]) == ("4001/2.jpg", "unusable-image")
    assert "one even colour" in error["detail"]


def test_a_lack_of_memory_fails_the_import_and_refuses_no_picture(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("app.images.simplejpeg.decode_jpeg", Mock(side_effect=MemoryError))
        job = run(client, archive({"4001/1.jpg": pictures.jpeg(1)}))
    assert (job["state"], job["errors"]) == ("failed", [])
    assert "memory" in job["detail"]


def test_the_same_archive_again_adds_nothing(client: TestClient) -> None:
    run(client, shop())
    again = run(client, shop())
    assert (again["added"], again["duplicates"]) == (0, 4)
    assert (again["created"], again["changed"]) == (0, 0)
    assert client.get("/gallery").json()["images"] == 4


def test_a_service_that_stops_does_not_wait_for_rows_to_be_counted(
    client: TestClient, service: Service, tmp_path: Path
) -> None:
    def stopping() -> None:
        raise StopJob

    table = "id\n" + "\n".join(f"p{number}" for number in range(2000))
    (tmp_path / ARCHIVE).write_bytes(archive({"products.csv": table.encode()}))
    limits = service.settings.image_limits
    importer = Importer(service.gallery, service.enroller, limits, busy=lambda: False)
    job = Job(id="j", kind="import", created_at="2026-01-01T00:00:00Z")
    with pytest.raises(StopJob):
        importer.run(job, tmp_path, stopping)
    assert client.get("/gallery").json()["products"] == 0


def test_a_dry_run_stores_nothing(client: TestClient) -> None:
    job = run(client, shop(), "?dry_run=true")
    assert (job["state"], job["failed"]) == ("done", 4)
    assert (job["created"], job["changed"]) == (3, 0)
    assert client.get("/gallery").json()["products"] == 0


LEMONADE = {"name": "Orange lemonade", "metadata": {"aisle": 3, "brand": "Sunhill"}}


@pytest.mark.parametrize(
    ("table", "name", "metadata"),
    [
        ("id\n100\n", "Orange lemonade", {"aisle": 3, "brand": "Sunhill"}),
        ("id,name\n100,Lemonade\n", "Lemonade", {"aisle": 3, "brand": "Sunhill"}),
        ("id,name,metadata\n100,,\n", "Orange lemonade", {"aisle": 3, "brand": "Sunhill"}),
        ("id,aisle\n100,4\n", "Orange lemonade", {"aisle": 4, "brand": "Sunhill"}),
        ("id,aisle,shelf\n100,,2\n", "Orange lemonade", {"brand": "Sunhill", "shelf": "2"}),
        ("id,shelf,aisle\n100,2\n", "Orange lemonade", LEMONADE["metadata"] | {"shelf": "2"}),
        ('id,metadata\n100,"{""aisle"": 4}"\n', "Orange lemonade", {"aisle": 4}),
        ('id,metadata,b\n100,"{""a"": 4}",2\n', "Orange lemonade", {"a": 4, "b": "2"}),
        ("id,metadata\n100,{}\n", "Orange lemonade", {}),
    ],
    ids=["id", "name", "nothing", "a key", "a key taken away", "a row cut short", "all metadata",
         "metadata and a key", "no metadata"],
)  # fmt: skip
def test_a_table_changes_what_it_speaks_of(
    client: TestClient, table: str, name: str, metadata: dict[str, object]
) -> None:
    client.put("/gallery/products/100", json=LEMONADE)
    # A new product twice, and in the end as at first: each product counts once.
    data = archive({"products.csv": table.replace("\n100", "\n200\n200\n100").encode()})
    changed = int({"name": name, "metadata": metadata} != LEMONADE)
    for query, created in (("?dry_run=true", 1), ("", 1), ("", 0)):
        job = run(client, data, query)
        assert (job["created"], job["changed"], job["failed"]) == (created, changed, 0)
        if query:
            assert client.get("/gallery/products/200").status_code == 404
        else:
            changed = 0
    product = client.get("/gallery/products/100").json()
    assert (product["name"], product["metadata"]) == (name, metadata)
    assert client.get("/gallery/products/200").json()["name"] == "200"


def test_a_column_keeps_the_kind_of_value_that_its_key_has(client: TestClient) -> None:
    before = {"shelf": 7, "price": 1.5, "sold": True, "code": "07", "until": 3}
    client.put("/gallery/products/100", json={"name": "Juice", "metadata": before})
    table = b"id,shelf,price,sold,code,until,new\n100,8,2.25,FALSE,08,soon,9\n"
    assert run(client, archive({"products.csv": table}))["changed"] == 1
    after = client.get("/gallery/products/100").json()["metadata"]
    assert after == {
        "shelf": 8,
        "price": 2.25,
        "sold": False,
        "code": "08",
        "until": "soon",
        "new": "9",
    }
    found = client.get("/gallery/products", params={"where": '{"shelf": 8}'}).json()["products"]
    assert [product["id"] for product in found] == ["100"]
    assert run(client, archive({"products.csv": table}))["changed"] == 0


def test_a_change_made_meanwhile_is_not_undone(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("/gallery/products/100", json=LEMONADE)
    read = service.gallery.get_product

    def and_rename(product_id: str) -> Product:
        found = read(product_id)
        if found.name != "Renamed":
            service.gallery.put_product(product_id, "Renamed", found.metadata)
        return found

    monkeypatch.setattr(service.gallery, "get_product", and_rename)
    job = run(client, archive({"products.csv": b"id,price\n100,2\n"}))
    assert (job["created"], job["changed"], job["failed"]) == (0, 1, 0)
    product = client.get("/gallery/products/100").json()
    assert (product["name"], product["metadata"]["price"]) == ("Renamed", "2")


def test_a_product_deleted_meanwhile_fails_no_other(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = service.gallery.add_images
    deletions = iter(range(4))  # of both pictures at once, and of the first by itself

    def and_delete(product_id: str, images: Sequence[NewImage]) -> list[AddedImage]:
        if product_id == "4001" and next(deletions, None) is not None:
            with suppress(UnknownProduct):
                service.gallery.delete_product(product_id)
        return add(product_id, images)

    monkeypatch.setattr(service.gallery, "add_images", and_delete)
    files = {f"{p}/{n}.jpg": pictures.jpeg(p + 9 * n) for p in (4001, 4002) for n in (0, 1)}
    job = run(client, archive(files))
    assert (job["state"], job["done"], job["added"]) == ("done", 4, 3)
    (error,) = job["errors"]
    assert error["item"] == "4001/0.jpg"
    assert "no product '4001'" in error["detail"]


def test_metadata_that_gets_too_large_is_refused_where_it_stands(client: TestClient) -> None:
    metadata = {"note": "x" * 16_000}
    client.put("/gallery/products/100", json={"name": "Orange lemonade", "metadata": metadata})
    job = run(client, archive({"products.csv": f"id,more\n100,{'y' * 1000}\n".encode()}))
    (error,) = job["errors"]
    assert error["item"] == "products.csv:2"
    assert "metadata has" in error["detail"]
    assert client.get("/gallery/products/100").json()["metadata"] == metadata


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"not a zip", archive({}), archive({"a.txt": b"x"}), shop()[: len(shop()) // 2]],
    ids=["empty", "two bytes", "text", "no entries", "no images", "truncated"],
)
def test_what_is_no_archive_is_refused_at_once(
    client: TestClient, service: Service, data: bytes
) -> None:
    answer = client.post("/gallery/import", content=data, headers=ZIP)
    assert_problem(answer, 422, "unusable-archive")
    folder = service.settings.data_dir / "jobs"
    assert not [path for path in folder.iterdir() if not (path / "job.json").exists()]


def test_another_type_is_refused(client: TestClient) -> None:
    assert_problem(client.post("/gallery/import", files={"f": shop()}), 415, "unsupported-body")


def test_an_archive_may_be_larger_than_a_request_of_images(client: TestClient) -> None:
    data = archive({"products.csv": b"id\n1\n", "large": bytes(6_000_000)}, zipfile.ZIP_STORED)
    assert run(client, data, "?dry_run=true")["state"] == "done"


def test_an_archive_over_the_limit_is_refused_unread(client: TestClient) -> None:
    answer = client.post(
        "/gallery/import", content=b"PK", headers=ZIP | {"Content-Length": str(4096 * 2**20 + 1)}
    )
    assert_problem(answer, 413, "request-too-large")


def test_a_bomb_costs_no_more_than_an_image_may(client: TestClient) -> None:
    # 300 MB of zeros in 300 KB: read up to the limit of one image, then refused.
    job = run(client, archive({"p/bomb.jpg": bytes(300_000_000)}))
    assert (job["state"], job["failed"]) == ("done", 1)
    assert "bytes" in job["errors"][0]["detail"]


@pytest.mark.parametrize("name", ["../../evil/x.jpg", "/etc/x.jpg", "..\\..\\x/y.jpg"])
def test_paths_of_an_archive_lead_nowhere(client: TestClient, service: Service, name: str) -> None:
    before = set(service.settings.data_dir.rglob("*.jpg"))
    run(client, archive({name: pictures.jpeg(1), "honest/1.jpg": pictures.jpeg(2)}))
    assert set(service.settings.data_dir.rglob("*.jpg")) == before
    stored = {item["id"] for item in client.get("/gallery/products").json()["products"]}
    assert stored <= {"honest", "etc"}


def test_the_index_is_rebuilt_while_serving(client: TestClient) -> None:
    run(client, shop())
    before = client.post("/recognize", files={"image": pictures.jpeg(1)}).json()["results"]
    accepted = client.post("/gallery/rebuild")
    assert accepted.status_code == 202
    assert finished(client, accepted.json()["job_id"])["state"] == "done"
    assert client.post("/recognize", files={"image": pictures.jpeg(1)}).json()["results"] == before


def test_an_unknown_job(client: TestClient) -> None:
    assert_problem(client.get("/jobs/none"), 404, "unknown-job")
