"""Somebody sends the wrong archive, and wants it back."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.processes import RunningService, running_service, service_environment
from tests.app.test_http_import import archive, finished

ROWS = 30_000  # some seconds' work


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with running_service(tmp_path / "data", sample_gallery=False) as service:
        yield service


def command(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "gallery", *arguments],
        env=service_environment(tmp_path / "data"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(tmp_path: Path, *arguments: str) -> str:
    return command(tmp_path, *arguments).communicate(timeout=120)[0]


def begun(service: RunningService) -> dict[str, Any]:
    """The first job, when some of it is done."""
    for _ in range(600):
        jobs = service.client.get("/jobs").json()["jobs"]
        if jobs and jobs[-1]["done"]:
            return jobs[-1]
        time.sleep(0.05)
    raise AssertionError(jobs)


def test_an_import_is_cancelled(service: RunningService, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.zip"
    table = "id,name\n" + "".join(f"{row},Wrong {row}\n" for row in range(ROWS))
    wrong.write_bytes(archive({"products.csv": table.encode()}))
    importing = command(tmp_path, "import", str(wrong))
    running = begun(service)
    body = wrong.read_bytes()
    headers = {"Content-Type": "application/zip"}
    waiting = service.client.post("/gallery/import", content=body, headers=headers).json()["job_id"]

    listed = [json.loads(line) for line in printed(tmp_path, "jobs").splitlines()]
    states = [(job["id"], job["state"]) for job in listed]
    assert states == [(waiting, "queued"), (running["id"], "running")]
    assert "The job is cancelled." in printed(tmp_path, "cancel", waiting)
    ends = "The job ends after the items at hand."
    assert ends in printed(tmp_path, "cancel", running["id"])

    out, error = importing.communicate(timeout=120)
    assert importing.returncode == 1
    assert "Cancelled." in error
    job = finished(service.client, running["id"])
    assert (job["state"], job["total"]) == ("cancelled", ROWS)
    assert f"{job['created']:,} products created" in out
    assert 0 < job["created"] < ROWS
    # What it had taken stays, and nothing comes after it.
    assert service.client.get("/gallery").json()["products"] == job["created"]
    unknown = command(tmp_path, "cancel", "none")
    assert "There is no job 'none'" in unknown.communicate(timeout=120)[1]
    assert unknown.returncode == 1
