"""Two replicas on a Milvus server and an object store that are killed, and come back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx2
import pytest

from bench.milvus_server import MilvusServer
from bench.object_server import ObjectServer
from tests.app import pictures
from tests.app.processes import RunningService, running_service

# Until the server is back and answers: a limit, not a measure.
BACK_SECONDS = 200


@pytest.fixture(scope="module")
def replicas(
    milvus: MilvusServer, object_server: ObjectServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RunningService]]:
    """Two services on one gallery, which share no folder: the first is sent the writes."""
    shared = {
        "gallery_url": f"{milvus.url}/service",
        "gallery_pictures": f"{object_server.bucket}/service",
        "exit_when_stuck": 0,
    }
    folder = tmp_path_factory.mktemp("replicas")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in object_server.environment.items():
            environment.setenv(name, value)
        with (
            running_service(folder / "one" / "data", **shared) as one,
            running_service(folder / "two" / "data", **shared) as two,
        ):
            yield [one, two]


def photographed(writer: RunningService, seed: int) -> httpx2.Response:
    """The answer to a reference photograph of the cup."""
    return writer.client.post(
        "/gallery/products/cup/images",
        content=pictures.jpeg(seed),
        headers={"Content-Type": "image/jpeg"},
    )


def enrolled(writer: RunningService) -> str:
    """The id of the image by which the cup is known."""
    assert writer.client.put("/gallery/products/cup", json={"name": "Cup"}).is_success
    answer = photographed(writer, 1)
    assert answer.is_success
    return answer.json()["images"][0]["id"]


def recognized(replica: RunningService) -> httpx2.Response:
    return replica.client.post(
        "/recognize", content=pictures.jpeg(1), headers={"Content-Type": "image/jpeg"}
    )


def until(what: str, happens: object) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    while not happens():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def sees_the_cup(replica: RunningService) -> bool:
    answer = recognized(replica)
    return answer.is_success and any(
        result["product"] and result["product"]["id"] == "cup"
        for result in answer.json()["results"]
    )


def refused(answer: httpx2.Response) -> bool:
    """Whether it says that a server is away, and when to come back."""
    away = answer.status_code == 503
    assert not away or answer.json()["code"] == "gallery-unavailable"
    assert not away or int(answer.headers["Retry-After"]) > 0
    return away


def test_an_object_store_that_is_away_stops_no_recognition(
    object_server: ObjectServer, replicas: list[RunningService]
) -> None:
    writer, reader = replicas
    picture = f"/gallery/images/{enrolled(writer)}/thumbnail"
    until("the other sees it", lambda: reader.client.get(picture).is_success)
    before = reader.client.get(picture).content
    assert before == writer.client.get(picture).content
    for replica in replicas:
        until("what one enrols the other finds", lambda replica=replica: sees_the_cup(replica))
    images = reader.client.get("/gallery").json()["images"]
    object_server.kill()
    try:
        assert refused(photographed(writer, 2))
        for replica in replicas:
            assert refused(replica.client.get(picture))
            assert sees_the_cup(replica)
            assert replica.client.get("/readyz").is_success
        # Cut off, so that nobody takes it for whole.
        with pytest.raises(httpx2.RemoteProtocolError):
            writer.client.get("/gallery/export")
        assert writer.client.put("/gallery/products/plate", json={"name": "Plate"}).is_success
        assert writer.client.get("/gallery").json()["images"] == images
    finally:
        object_server.start()
    until("pictures are kept again", lambda: photographed(writer, 2).is_success)
    for replica in replicas:
        until("pictures are there again", lambda r=replica: r.client.get(picture).is_success)
        assert replica.client.get(picture).content == before
    assert writer.client.get("/gallery").json()["images"] == images + 1


def test_a_server_killed_amid_writes_loses_nothing_acknowledged(
    milvus: MilvusServer, replicas: list[RunningService]
) -> None:
    writer = replicas[0]
    enrolled(writer)
    for replica in replicas:
        until("what one enrols the other finds", lambda replica=replica: sees_the_cup(replica))
    acknowledged: dict[str, int] = {}
    not_made: list[httpx2.Response] = []
    stopping = Event()

    def write() -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            name = f"p{number:05}"
            answer = writer.client.put(f"/gallery/products/{name}", json={"name": name})
            if answer.is_success:
                acknowledged[name] = answer.json()["version"]
            else:
                not_made.append(answer)
                time.sleep(0.2)

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        try:
            until("writes are acknowledged", lambda: len(acknowledged) > 20)
            milvus.kill()
            until("writes are refused", lambda: not_made)
            for replica in replicas:
                for answer in (
                    recognized(replica),
                    replica.client.get("/gallery/products/cup"),
                    replica.client.get("/gallery"),
                ):
                    assert refused(answer)
                assert replica.client.get("/readyz").status_code == 503
                assert replica.client.get("/healthz").status_code == 200
                assert "tillsight_ready 0.0" in replica.client.get("/metrics").text
            milvus.start()
            before = len(acknowledged)
            until("writes are acknowledged again", lambda: len(acknowledged) > before + 10)
        finally:
            stopping.set()
        writing.result()
    for replica in replicas:
        until("it is ready again", lambda r=replica: r.client.get("/readyz").is_success)
        until("it recognises again", lambda r=replica: sees_the_cup(r))
    # Every one, at the version that was told; those that were refused may be there or not.
    held: dict[str, int] = {}
    cursor: str | None = None
    while cursor != "":
        page = writer.client.get(
            "/gallery/products", params={"limit": 100} | ({"cursor": cursor} if cursor else {})
        ).json()
        held |= {product["id"]: product["version"] for product in page["products"]}
        cursor = page["next_cursor"] or ""
    assert {name: held.get(name) for name in acknowledged} == acknowledged
    assert writer.client.get("/gallery").json()["products"] == len(held)
