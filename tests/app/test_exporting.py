"""What is exported comes back as it was, and the archive is one that people and tools can open."""

import asyncio
import gc
import json
import re
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.types import Message

from app.http.application import create_app
from app.jobs import Job
from app.service import Service
from app.transfer import exporting
from app.transfer.exporting import export
from app.transfer.importing import ARCHIVE, Importer
from gallery import Gallery
from tests.app import pictures
from tests.app.problems import assert_problem
from tests.app.test_http_import import ZIP, archive, run, shop
from tests.gallery.samples import new_image, opened

DIMENSION = 4

texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
ids = texts.filter(lambda text: not set(text) & set("/\\") and text not in (".", ".."))
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
# Few directions, so that equal scores, which the order of images decides, are common.
axis = st.sampled_from([-1.0, 0.0, 1.0, 0.3])
rows = st.lists(st.tuples(*[axis] * DIMENSION).filter(any), min_size=1, max_size=2)
contents = st.lists(st.tuples(st.integers(0, 9), rows), max_size=4)
products = st.dictionaries(
    ids, st.tuples(texts, st.dictionaries(texts, values, max_size=3), contents), max_size=5
)
SPELT_ALIKE = {
    product: ("Coffee", {}, [(n, [(1.0, n, 0.0, 0.3)])])
    for n, product in enumerate(("caf\u00e9", "cafe\u0301", "caf\ufffd"))
}
THUMBNAILS = [pictures.jpeg(seed) for seed in range(3)]


def fill(gallery: Gallery, wanted: dict[str, Any]) -> None:
    for product, (name, metadata, _) in wanted.items():
        gallery.put_product(product, name, metadata)
    # In turn, so that neighbours in the order of images are of several products.
    for place in range(4):
        for product, (_, _, images) in wanted.items():
            for content, vectors in images[place : place + 1]:
                image = new_image(content, vectors)
                thumbnail = THUMBNAILS[content % len(THUMBNAILS)]
                gallery.add_images(product, [replace(image, thumbnail=thumbnail)])


def write(gallery: Gallery, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with gallery.contents() as held, (folder / ARCHIVE).open("wb") as file:
        file.writelines(export(held))
    return folder


def take(gallery: Gallery, service: Service, folder: Path, **chosen: object) -> Job:
    limits = service.settings.image_limits
    importer = Importer(gallery, service.enroller, limits, busy=lambda: False)
    job = Job(id="j", kind="import", created_at="2026-01-01T00:00:00Z", **chosen)
    importer.run(job, folder, lambda: None)
    return job


def held(gallery: Gallery) -> list[object]:
    found: list[object] = []
    for product in gallery.list_products(None, 100)[0]:
        images = [
            (image.id, image.content_sha256, image.width, image.height)
            for image in gallery.list_images(product.id)
        ]
        thumbnails = [gallery.get_thumbnail(image[0]) for image in images]
        metadata = json.dumps(product.metadata, sort_keys=True)
        found.append((product.id, product.name, metadata, images, thumbnails))
    return found


def answers(gallery: Gallery) -> list[object]:
    queries = np.random.default_rng(1).integers(-1, 2, (20, DIMENSION)) + 0.01
    return gallery.search(queries.astype(np.float32), 4).candidates


@given(wanted=products)
@example(wanted=SPELT_ALIKE)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_gallery_comes_back_as_it_was(wanted: dict[str, Any], service: Service) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with opened(folder / "one", dimension=DIMENSION) as first:
            fill(first, wanted)
            before, seen = held(first), answers(first)
            write(first, folder / "job")
        with opened(folder / "two", dimension=DIMENSION) as second:
            job = take(second, service, folder / "job")
            assert (job.failed, job.duplicates, job.errors) == (0, 0, [])
            assert held(second) == before
            assert answers(second) == seen
            revision = second.stats().revision
            again = take(second, service, folder / "job")
            assert (again.failed, again.added, again.done) == (0, 0, again.total)
            assert second.stats().revision == revision
            assert held(second) == before


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with the export of a small gallery, in parts that are smaller still."""
    wanted = {
        f"p{n}": (f"Product {n}", {"n": n}, [(c, [(1.0, n, c, 0.3)]) for c in range(4)])
        for n in range(3)
    }
    with opened(tmp_path / "gallery", dimension=DIMENSION) as gallery:
        fill(gallery, wanted)
        return write(gallery, tmp_path / "job")


def edited(folder: Path, change: dict[str, bytes | None]) -> None:
    """The archive with some entries replaced or, with None, taken out."""
    path = folder / ARCHIVE
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()} | change
    path.write_bytes(archive({k: v for k, v in entries.items() if v is not None}))


def names(folder: Path, suffix: str) -> list[str]:
    with zipfile.ZipFile(folder / ARCHIVE) as file:
        return [name for name in file.namelist() if name.endswith(suffix)]


def test_the_archive_is_a_sound_zip_of_pictures_and_tables(small: Path) -> None:
    with zipfile.ZipFile(small / ARCHIVE) as file:
        assert file.testzip() is None
        # Sizes and checksums stand before each entry, too: no data descriptors.
        assert not any(entry.flag_bits & 0x08 for entry in file.infolist())
        table = file.read("products.csv").decode().splitlines()
        assert table[:2] == ["id,name,metadata", 'p0,Product 0,"{""n"": 0}"']
        assert json.loads(file.read("gallery.json"))["images"] == 12
    assert len(names(small, ".jpg")) == 12


def test_long_tables_and_lists_are_written_in_parts(
    small: Path, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST_TABLE_BYTES", 8 * 60)
    monkeypatch.setattr(exporting, "LINES_A_FILE", 5)
    monkeypatch.setattr(exporting, "CHUNK_BYTES", 1000)
    with opened(tmp_path / "gallery", dimension=DIMENSION) as gallery:
        with gallery.contents() as contents:
            assert max(map(len, export(contents))) < 20_000
        folder = write(gallery, tmp_path / "parts")
        before = held(gallery)
    assert names(folder, "products.csv") == ["products.csv", "products-2/products.csv"]
    assert len(names(folder, ".jsonl")) == 3
    with opened(tmp_path / "other", dimension=DIMENSION) as other:
        assert take(other, service, folder).added == 12
        assert held(other) == before


def test_the_same_gallery_makes_the_same_archive(small: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "gallery", dimension=DIMENSION) as gallery:
        again = write(gallery, tmp_path / "again")
    assert (again / ARCHIVE).read_bytes() == (small / ARCHIVE).read_bytes()


def test_an_export_stays_as_it_was_when_it_began(small: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "gallery", dimension=DIMENSION) as gallery:
        with gallery.contents() as contents:
            pieces = export(contents)
            begun = next(pieces)
            gallery.delete_product("p1")
            gallery.put_product("p0", "another name", {})
            whole = begun + b"".join(pieces)
        gallery.put_product("p9", "the gallery is free again", {})
    assert whole == (small / ARCHIVE).read_bytes()


def test_an_id_that_no_path_may_hold_is_no_path(tmp_path: Path) -> None:
    """A gallery that others wrote to, restored from a backup say."""
    with opened(tmp_path / "gallery", dimension=DIMENSION) as gallery:
        fill(gallery, {"../../pwn": ("Pwn", {}, [(1, [(1.0, 0, 0, 0)])])})
        folder = write(gallery, tmp_path / "job")
    (name,) = names(folder, ".jpg")
    assert re.fullmatch(r"images/[0-9a-f]{64}/[0-9a-f]{64}\.jpg", name)


def test_an_image_id_that_is_taken_is_not_taken_over(
    small: Path, service: Service, tmp_path: Path
) -> None:
    with opened(tmp_path / "other", dimension=DIMENSION) as other:
        with opened(tmp_path / "gallery", dimension=DIMENSION) as gallery:
            image = gallery.list_images("p0")[0]
        other.put_product("mine", "Mine", {})
        kept = replace(new_image("mine", [(1.0, 0, 0, 0)]), id=image.id)
        assert other.add_images("mine", [kept])[0].id == image.id
        assert take(other, service, small).added == 12
        assert other.get_image(image.id).product_id == "mine"
        assert len({i.id for p in ("p0", "p1", "p2") for i in other.list_images(p)}) == 12


def test_another_embedder_makes_its_own_vectors_and_says_so(
    small: Path, service: Service, client: TestClient
) -> None:
    job = run(client, (small / ARCHIVE).read_bytes())
    assert (job["added"], job["embedded_again"], job["failed"]) == (12, 12, 0)
    kept = {Path(name).stem for name in names(small, ".jpg") if "/p1/" in name}
    held = {image.content_sha256 for image in service.gallery.list_images("p1")}
    assert held == kept
    seen = client.post("/recognize?detect=false", files={"image": THUMBNAILS[0]}).json()
    assert seen["results"][0]["candidates"][0]["score"] > 0.99


def test_pictures_that_people_took_out_changed_or_added(small: Path, client: TestClient) -> None:
    gone, broken, other, *_ = names(small, ".jpg")
    edited(
        small,
        {
            gone: None,
            broken: b"no image",
            other: pictures.jpeg(7),
            "images/p1/new.jpg": pictures.jpeg(8),
        },
    )
    job = run(client, (small / ARCHIVE).read_bytes())
    assert (job["added"], job["embedded_again"]) == (11, 9)
    assert [error["code"] for error in job["errors"]] == ["invalid-value", "unusable-image"]
    assert "doesn't hold its picture" in job["errors"][0]["detail"]
    for seed, product in ((7, other.split("/")[1]), (8, "p1")):
        seen = client.post("/recognize?detect=false", files={"image": pictures.jpeg(seed)}).json()
        assert seen["results"][0]["product"]["id"] == product


def test_lines_that_are_wrong_are_named_one_by_one(
    small: Path, service: Service, tmp_path: Path
) -> None:
    (name,) = names(small, ".jsonl")
    with zipfile.ZipFile(small / ARCHIVE) as file:
        lines = [json.loads(line) for line in file.read(name).splitlines()]
    lines[0]["vectors"] = ["AAA"]
    lines[1]["vectors"] = []
    lines[2]["vectors"] = [lines[2]["vectors"][0], "AAAA"]
    lines[3]["vectors"] = ["AAAAAAAAAAA="]
    lines[4]["id"] = "../../etc"
    lines[5]["width"] = "wide"
    lines[6]["product"] = "a/b"
    lines[7]["content_sha256"] = "f" * 63
    edited(small, {name: "\n".join(["{", *map(json.dumps, lines)]).encode()})
    with opened(tmp_path / "other", dimension=DIMENSION) as other:
        job = take(other, service, small)
        # Pictures that no line speaks of are photographs: of another dimension than this gallery's.
        assert (job.added, job.duplicates, job.failed) == (4, 0, 9 + 3)
        assert {error.code for error in job.errors} == {"invalid-value"}


@pytest.mark.parametrize(
    ("manifest", "says"),
    [(b"{}", "not that of an export"), (b"[", "not that of an export")],
)
def test_a_manifest_that_is_none_is_refused_at_once(
    small: Path, client: TestClient, manifest: bytes, says: str
) -> None:
    edited(small, {"gallery.json": manifest})
    answer = client.post("/gallery/import", content=(small / ARCHIVE).read_bytes(), headers=ZIP)
    assert says in assert_problem(answer, 422, "unusable-archive")["detail"]


def test_an_export_of_a_newer_release_is_refused(small: Path, client: TestClient) -> None:
    with zipfile.ZipFile(small / ARCHIVE) as file:
        manifest = json.loads(file.read("gallery.json")) | {"version": 2}
    edited(small, {"gallery.json": json.dumps(manifest).encode()})
    data = (small / ARCHIVE).read_bytes()
    answer = client.post("/gallery/import", content=data, headers=ZIP)
    assert "newer release" in assert_problem(answer, 422, "unusable-archive")["detail"]


def test_over_http_there_and_back(client: TestClient, service: Service) -> None:
    assert run(client, shop())["added"] == 4
    before, seen = held(service.gallery), recognised(client)
    exported = client.get("/gallery/export")
    assert exported.headers["content-type"] == "application/zip"
    juice = client.get("/gallery/products/4001").json()
    more = {"name": "Juice", "metadata": juice["metadata"] | {"a key that was not there": 1}}
    client.put("/gallery/products/4001", json=more)
    job = run(client, exported.content)
    assert (job["created"], job["changed"], job["duplicates"]) == (0, 1, 4)
    assert held(service.gallery) == before
    for product in service.gallery.list_products(None, 100)[0]:
        service.gallery.delete_product(product.id)
    job = run(client, exported.content)
    assert (job["added"], job["embedded_again"], job["failed"]) == (4, 0, 0)
    assert held(service.gallery) == before
    assert recognised(client) == seen


@pytest.mark.parametrize("leaves", [True, False])
def test_a_client_that_takes_no_more_holds_nothing_open(
    service: Service, monkeypatch: pytest.MonkeyPatch, *, leaves: bool
) -> None:
    """The write-ahead log grows for as long as somebody reads an older state."""
    monkeypatch.setattr("app.http.streaming.STALL_SECONDS", 3600 if leaves else 0.1)

    async def ask() -> None:
        begun = asyncio.Event()
        asked = iter([{"type": "http.request"}])

        async def receive() -> Message:
            if message := next(asked, None):
                return message
            await (begun if leaves else asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                service.gallery.put_product("later", "L", {})
                begun.set()
                if not leaves:
                    await asyncio.Event().wait()

        request = {
            "type": "http",
            "method": "GET",
            "path": "/gallery/export",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
        }
        await asyncio.wait_for(create_app(service)(request, receive, send), 10)

    gc.disable()
    try:
        asyncio.run(ask())
        file = service.settings.data_dir / "gallery" / "gallery.sqlite3"
        with closing(sqlite3.connect(file)) as db:
            (refused, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not refused
    finally:
        gc.enable()
        service.gallery.delete_product("later")


def recognised(client: TestClient) -> list[object]:
    files = [pictures.jpeg(seed) for seed in range(1, 6)]
    return [client.post("/recognize", files={"image": file}).json()["results"] for file in files]
