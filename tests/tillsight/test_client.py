"""Both clients against a real service over a socket."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import numpy as np
import pytest
from PIL import Image

from app.keys import Scope, create_key
from app.sample import SAMPLES
from tests.app import pictures
from tests.app.processes import running_service
from tests.app.test_http_import import archive
from tillsight import calls
from tillsight.client import AsyncClient, Client, TillSightError


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """A service with keys: its address, a key, and one for a single call a minute."""
    folder = tmp_path_factory.mktemp("client") / "data"
    _, key = create_key(folder / "keys.json", "shop", [Scope.RECOGNIZE, Scope.GALLERY])
    _, slow = create_key(folder / "keys.json", "slow", [Scope.GALLERY], per_minute=1)
    with running_service(folder, sample_gallery=False) as service:
        yield service.url, key, slow


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_key_that_can_be_none_is_told_at_once(client: type) -> None:
    for key in ("tillsight_…", "tillsight_“a”", "tillsight_\x00"):
        with pytest.raises(ValueError, match="no key of TillSight"):
            client("http://127.0.0.1:1", key=key)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_an_empty_key_is_none(client: type) -> None:
    for key in (None, "", "  \n"):
        assert "authorization" not in client("http://127.0.0.1:1", key=key)._http.headers


def test_the_end_of_the_line_that_a_key_was_read_from_does_not_count(
    address: tuple[str, str, str],
) -> None:
    url, key, _ = address
    with Client(url, key=f"{key}\n", trust_env=False) as client:
        assert client.gallery()["products"] == 0


class Waiting:
    """The asynchronous client with the manners of the other: each call is waited for."""

    def __init__(self, url: str, *, key: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(url, key=key, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._loop.run_until_complete(method(*args, **kwargs))

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


@pytest.fixture(params=[Client, Waiting])
def tillsight(request: pytest.FixtureRequest, address: tuple[str, str, str]) -> Iterator[Any]:
    url, key, _ = address
    made = request.param(url, key=key, trust_env=False)
    yield made
    for product in made.list_products()["products"]:
        made.delete_product(product["id"])
    made.close()


def test_a_product_is_taught_and_recognised(tillsight: Any, tmp_path: Path) -> None:
    photograph = tmp_path / "juice.jpg"
    photograph.write_bytes(pictures.jpeg(1))
    created = tillsight.put_product("a b-c?", "Juice", {"shelf": 7})
    assert (created["id"], created["metadata"]) == ("a b-c?", {"shelf": 7})
    added = tillsight.add_images("a b-c?", [photograph, pictures.jpeg(2)])
    assert added["images"][0]["filename"] == "juice.jpg"
    seen = tillsight.recognize(photograph, detect=False, top_k=1, where={"shelf": 7})
    assert seen["results"][0]["product"]["id"] == "a b-c?"
    assert tillsight.recognize(photograph, where={"shelf": 8})["results"][0]["product"] is None
    assert tillsight.get_product("a b-c?")["image_count"] == 2
    assert tillsight.gallery()["images"] == 2
    image_id = added["images"][1]["id"]
    assert tillsight.get_image(image_id)["product_id"] == "a b-c?"
    assert tillsight.delete_image(image_id) is None
    page = tillsight.list_products(limit=1)
    assert (page["products"][0]["image_count"], page["next_cursor"]) == (1, None)
    for where in ({"shelf": 7}, '{"shelf": 7}'):
        assert tillsight.list_products(q="JUI", where=where) == page
    assert tillsight.list_products(q="tea")["products"] == []
    # None of these came with the service.
    assert tillsight.samples() == {"products": []}
    assert tillsight.delete_samples() is None
    assert tillsight.gallery()["products"] == 1


def test_what_was_wrong_is_said_reviewed_and_undone(tillsight: Any) -> None:
    crisps, coffee = (
        sorted((SAMPLES / "references" / name).glob("*.jpg"))
        for name in ("jorima-herbs-crisps", "lumiva-coffee-coffee")
    )
    for name, files in (("crisps", crisps), ("coffee", coffee)):
        tillsight.put_product(name, name)
        tillsight.add_images(name, files[:2])
    tried = tillsight.add_images("coffee", crisps[2:3], dry_run=True)
    assert tried["effect"]["recall_after"] < tried["effect"]["recall_before"] == 1
    assert [warning["code"] for warning in tried["images"][0]["warnings"]] == ["look-alike"]

    answer = tillsight.recognize(crisps[2])
    item = tillsight.say(answer["request_id"], "coffee")
    assert item["verdict"] == "wrong"
    assert item in tillsight.list_feedback(state="waiting")["items"]
    with pytest.raises(TillSightError) as held:
        tillsight.approve(item["id"])
    assert (held.value.status, held.value.code) == (409, "lowers-recall")
    assert tillsight.approve(item["id"], product_id="crisps")["kept_as"] == "reference"
    assert tillsight.get_product("crisps")["image_count"] == 3
    while "done" in (found := tillsight.audit()):
        pass
    assert found["images"] == 5
    assert tillsight.undo(item["id"])["state"] == "waiting"
    assert tillsight.reject(item["id"])["state"] == "rejected"
    actions = [entry["action"] for entry in tillsight.get_feedback(item["id"])["history"]]
    assert actions == ["said", "held back", "approved", "undone", "rejected"]


def test_pictures_are_looked_at(tillsight: Any) -> None:
    assert tillsight.detect(pictures.jpeg(1), max_results=2)["image"] == {
        "width": 120,
        "height": 90,
    }
    answer = tillsight.embed([pictures.jpeg(1), pictures.jpeg(2)])
    assert [len(item["vector"]) for item in answer["embeddings"]] == [512, 512]


def tinted(number: int, light: float = 1.0) -> bytes:
    """A textured picture of a colour of its own for each number up to 6."""
    tint = light * np.array([0.15 + 0.85 * bool(number + 1 & bit) for bit in (1, 2, 4)])
    return pictures.encode(Image.fromarray((pictures.noise(number) * tint).astype(np.uint8)))


def test_answers_are_explained_and_claims_verified(tillsight: Any) -> None:
    for number in range(6):
        tillsight.put_product(str(number), f"Product {number}", {"shelf": number % 2})
        # Two of each product that are alike and no copies: one of them is dark.
        tillsight.add_images(str(number), [tinted(number), tinted(number, 0.6)])
    found = tillsight.calibration(0.3)
    assert (found["products"], found["impostors"]) == (6, 12)
    seen = tillsight.recognize(tinted(1), detect=False, false_accept_rate=0.3)
    assert 0 < seen["results"][0]["probability"] <= 1
    explained = tillsight.explain(tinted(1), detect=False, false_accept_rate=0.3)
    assert explained["calibration"] == found
    assert len(explained["matches"][0]["best"]) == 2
    assert tillsight.explain_picture(tinted(1), threshold=0.5)[:2] == b"\xff\xd8"
    claimed = tillsight.verify(tinted(1), "1", false_accept_rate=0.3)
    assert (claimed["outcome"], claimed["product"]["name"]) == ("match", "Product 1")
    assert tillsight.verify(tinted(1), "2", threshold=0.97)["outcome"] == "no_match"
    with pytest.raises(TillSightError, match="filter keeps"):
        tillsight.calibration(0.3, where={"shelf": 7})


def test_nobody_overwrites_what_they_have_not_seen(tillsight: Any) -> None:
    first = tillsight.put_product("p", "One", version=0)
    tillsight.put_product("p", "Two", version=first["version"])
    with pytest.raises(TillSightError) as raised:
        tillsight.put_product("p", "Three", version=first["version"])
    assert (raised.value.status, raised.value.code) == (412, "version-conflict")


def test_an_archive_is_imported(tillsight: Any) -> None:
    accepted = tillsight.import_archive(archive({"juice/1.jpg": pictures.jpeg(1)}))
    while (job := tillsight.get_job(accepted["job_id"]))["finished_at"] is None:
        time.sleep(0.05)
    assert (job["state"], job["added"]) == ("done", 1)
    assert job["embedded_again"] == 0
    newest = tillsight.history(limit=1, product_id="juice")["entries"][0]
    assert newest["kind"] == "add image"
    assert newest["author"] == job["author"]


def test_what_is_sent_again_is_done_once(tillsight: Any) -> None:
    key = str(uuid4())
    tillsight.put_product("p", "P")
    first = tillsight.add_images("p", [pictures.jpeg(1)], idempotency_key=key)
    assert tillsight.add_images("p", [pictures.jpeg(1)], idempotency_key=key) == first
    with pytest.raises(TillSightError) as raised:
        tillsight.add_images("p", [pictures.jpeg(2)], idempotency_key=key)
    assert raised.value.code == "idempotency-key-reused"
    shop, other = archive({"p/2.jpg": pictures.jpeg(2)}), str(uuid4())
    accepted = tillsight.import_archive(shop, idempotency_key=other)
    assert tillsight.import_archive(shop, idempotency_key=other) == accepted
    while tillsight.get_job(accepted["job_id"])["finished_at"] is None:
        time.sleep(0.05)
    assert tillsight.get_product("p")["image_count"] == 2


def test_a_gallery_is_exported_and_comes_back(
    tillsight: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tillsight.put_product("p", "P", {"shelf": 7})
    tillsight.add_images("p", [pictures.jpeg(1)])
    exported, came = tmp_path / "shop.zip", list[int]()
    tillsight.export(exported, came.append)
    assert came == sorted(came)
    assert came[-1] == exported.stat().st_size
    tillsight.delete_product("p")
    # It is in several pieces, and may be sent again.
    monkeypatch.setattr("tillsight.client.PIECE_BYTES", came[-1] // 3)
    key = str(uuid4())
    accepted = tillsight.import_archive(exported, idempotency_key=key)
    assert tillsight.import_archive(exported, idempotency_key=key) == accepted
    while (job := tillsight.get_job(accepted["job_id"]))["finished_at"] is None:
        time.sleep(0.05)
    assert (job["added"], job["embedded_again"]) == (1, 0)
    assert tillsight.get_product("p")["metadata"] == {"shelf": 7}
    assert [path.name for path in tmp_path.iterdir()] == ["shop.zip"]


def test_an_export_that_is_refused_leaves_nothing(
    address: tuple[str, str, str], tmp_path: Path
) -> None:
    with Client(address[0], trust_env=False) as stranger, pytest.raises(TillSightError) as raised:
        stranger.export(tmp_path / "shop.zip")
    assert raised.value.code == "missing-key"
    assert list(tmp_path.iterdir()) == []


class BrokenOff(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"half"
        raise httpx2.ReadError("gone")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


@pytest.mark.parametrize("made", [Client, Waiting])
def test_an_export_that_breaks_off_leaves_the_one_before(
    made: type[Client | Waiting], tmp_path: Path
) -> None:
    (tmp_path / "shop.zip").write_bytes(b"before")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=BrokenOff()))
    client = made("http://shop", key="key", transport=transport)
    came: list[int] = []
    with pytest.raises(httpx2.ReadError):
        client.export(tmp_path / "shop.zip", came.append)
    client.close()
    assert came == [4]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_errors_say_what_the_service_said(tillsight: Any) -> None:
    with pytest.raises(TillSightError, match="not an image") as raised:
        tillsight.recognize(b"no image")
    assert (raised.value.status, raised.value.code) == (415, "unsupported-image")


def test_a_limited_key_is_told_when_to_come_again(address: tuple[str, str, str]) -> None:
    url, _, slow = address
    with Client(url, key=slow, trust_env=False) as client:
        client.gallery()
        with pytest.raises(TillSightError) as raised:
            client.gallery()
    assert (raised.value.status, raised.value.code) == (429, "rate-limited")
    assert raised.value.retry_after is not None
    assert 1 <= raised.value.retry_after <= 60


def test_a_stranger_is_told_what_to_bring(address: tuple[str, str, str]) -> None:
    with Client(address[0], trust_env=False) as stranger, pytest.raises(TillSightError) as raised:
        stranger.gallery()
    assert (raised.value.status, raised.value.retry_after) == (401, None)


def test_what_would_be_another_request_is_not_sent(tillsight: Any) -> None:
    for product_id in (".", ".."):
        with pytest.raises(ValueError, match="no product id"):
            tillsight.get_product(product_id)
    with pytest.raises(TypeError, match=r"bytes or a pathlib\.Path"):
        tillsight.recognize("photo.jpg")


def test_no_service_is_no_answer() -> None:
    with (
        Client("http://127.0.0.1:9", trust_env=False) as nobody,
        pytest.raises(httpx2.TransportError),
    ):
        nobody.gallery()


def test_both_clients_have_every_call() -> None:
    made = {
        name
        for name, made in inspect.getmembers(calls, inspect.isfunction)
        if made.__module__ == calls.__name__ and not name.startswith("_")
    }
    for client in (Client, AsyncClient):
        assert made <= set(dir(client))
        for name in made:
            assert getattr(client, name).__doc__ == getattr(calls, name).__doc__
