"""The service on a Milvus server that is killed amid writes, and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx2
import pytest

from bench.milvus_server import MilvusServer
from tests.app import pictures
from tests.app.processes import RunningService, running_service

# Until the server is back and answers: a limit, not a measure.
BACK_SECONDS = 200


@pytest.fixture
def replicas(milvus: MilvusServer, tmp_path: Path) -> Iterator[list[RunningService]]:
    """Two services on one gallery: the first is sent the writes."""
    shared = {
        "gallery_url": f"{milvus.url}/service",
        "gallery_pictures": tmp_path / "pictures",
        "exit_when_stuck": 0,
    }
    with (
        running_service(tmp_path / "one" / "data", **shared) as one,
        running_service(tmp_path / "two" / "data", **shared) as two,
    ):
        yield [one, two]


def enrolled(writer: RunningService) -> None:
    assert writer.client.put("/gallery/products/cup", json={"name": "Cup"}).status_code == 201
    answer = writer.client.post(
        "/gallery/products/cup/images",
        content=pictures.jpeg(1),
        headers={"Content-Type": "image/jpeg"},
    )
    assert answer.status_code == 201


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


def test_a_server_killed_amid_writes_loses_nothing_acknowledged(
    milvus: MilvusServer, replicas: list[RunningService]
) -> None:
    writer = replicas[0]
    enrolled(writer)
    for replica in replicas:
        until("what one enrols the other finds", lambda replica=replica: sees_the_cup(replica))
    acknowledged: dict[str, int] = {}
    refused: list[httpx2.Response] = []
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
                refused.append(answer)
                time.sleep(0.2)

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        try:
            until("writes are acknowledged", lambda: len(acknowledged) > 20)
            milvus.kill()
            until("writes are refused", lambda: refused)
            for replica in replicas:
                for answer in (
                    recognized(replica),
                    replica.client.get("/gallery/products/cup"),
                    replica.client.get("/gallery"),
                ):
                    assert answer.status_code == 503
                    assert answer.json()["code"] == "gallery-unavailable"
                    assert int(answer.headers["Retry-After"]) > 0
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
