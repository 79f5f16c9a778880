"""The system's clock is set while the service runs: nothing that it does depends on it.

libfaketime lies to one process about the time of day; the monotonic clock runs on, as it does when
an operator or NTP sets the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from app.keys import Scope, create_key
from tests.app import pictures
from tests.app.problems import assert_problem
from tests.app.processes import RunningService, running_service

YEARS = 3
DAYS = {"ahead": f"+{YEARS * 365}d", "back": f"-{YEARS * 365}d"}


@dataclass
class Clock:
    """What the service takes for the time of day."""

    file: Path

    def set(self, offset: str) -> None:
        # All at once: the service reads it at every look at the clock.
        partial = self.file.with_suffix(".partial")
        partial.write_text(offset + "\n")
        partial.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    libraries = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert libraries, "`make test` installs faketime"
    made = Clock(tmp_path / "offset")
    made.set("+0")
    for name, value in {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": made.file,
        "FAKETIME_NO_CACHE": 1,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
    }.items():
        monkeypatch.setenv(name, str(value))
    return made


@pytest.fixture
def running(clock: Clock, tmp_path: Path) -> Iterator[RunningService]:
    data = tmp_path / "data"
    _, office = create_key(data / "keys.json", "office", [Scope.GALLERY, Scope.RECOGNIZE])
    with running_service(data, sample_gallery=False) as service:
        service.client.headers["Authorization"] = f"Bearer {office}"
        yield service


def assert_serves(service: RunningService, number: int) -> datetime:
    """Recognised, enrolled, answered once; returns when the service takes it to have been."""
    client = service.client
    assert client.get("/readyz").is_success
    assert client.put(f"/gallery/products/{number}", json={"name": "P"}).status_code == 201
    files = {"images": pictures.jpeg(number)}
    once = {"Idempotency-Key": f"key-{number}"}
    first = client.post(f"/gallery/products/{number}/images", files=files, headers=once)
    assert first.status_code == 201
    again = client.post(f"/gallery/products/{number}/images", files=files, headers=once)
    assert again.content == first.content
    seen = client.post("/recognize?detect=false", files={"image": pictures.jpeg(number)})
    assert seen.json()["results"][0]["product"]["id"] == str(number)
    newest = client.get("/gallery/history?limit=1").json()["entries"][0]
    assert (newest["product_id"], newest["kind"]) == (str(number), "add image")
    return datetime.fromisoformat(newest["at"])


def test_the_clock_jumps_ahead_and_back(running: RunningService, clock: Clock) -> None:
    start = assert_serves(running, 1)
    clock.set(DAYS["ahead"])
    ahead = assert_serves(running, 2)
    clock.set(DAYS["back"])
    back = assert_serves(running, 3)
    assert (ahead - start).days >= YEARS * 365 - 1
    assert (start - back).days >= YEARS * 365 - 1
    # The order of changes is not the clock's.
    changes = running.client.get("/gallery/changes").json()["changes"]
    assert [change["product_id"] for change in changes] == ["1", "1", "2", "2", "3", "3"]
    # An answer of the day before is asked for again after a jump: the image is there once.
    clock.set(DAYS["ahead"])
    files = {"images": pictures.jpeg(1)}
    again = running.client.post(
        "/gallery/products/1/images", files=files, headers={"Idempotency-Key": "key-1"}
    )
    assert again.json()["images"][0]["duplicate"] is True


def test_a_limited_key_waits_by_a_clock_that_does_not_jump(
    running: RunningService, clock: Clock, tmp_path: Path
) -> None:
    _, token = create_key(tmp_path / "data" / "keys.json", "slow", [Scope.GALLERY], per_minute=1)
    slow = {"Authorization": f"Bearer {token}"}
    assert running.client.get("/gallery", headers=slow).is_success
    for offset in DAYS.values():
        clock.set(offset)
        answer = running.client.get("/gallery", headers=slow)
        assert_problem(answer, 429, "rate-limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_a_start_in_the_past_has_all_that_was_stored(
    running: RunningService, clock: Clock, tmp_path: Path
) -> None:
    clock.set(DAYS["ahead"])
    assert_serves(running, 1)
    running.kill()
    clock.set(DAYS["back"])
    with running_service(tmp_path / "data", sample_gallery=False) as service:
        service.client.headers["Authorization"] = running.client.headers["Authorization"]
        assert service.client.get("/gallery/products/1").json()["image_count"] == 1
        assert_serves(service, 2)
        assert service.stop() == 0
