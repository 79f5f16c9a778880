"""Kill -9 during an import: it goes on where it was, and a client that asks again finds its job."""

import time
from pathlib import Path
from typing import Any

from tests.app import pictures
from tests.app.processes import RunningService, running_service
from tests.app.test_http_import import archive

IMAGES = 40
HEADERS = {"Content-Type": "application/zip", "Idempotency-Key": "shop"}
SETTINGS = {"sample_gallery": False, "log_level": "warning"}


def wait(service: RunningService, job_id: str, done: int) -> dict[str, Any]:
    """The job, when so many of its items are done."""
    job = service.client.get(f"/jobs/{job_id}").json()
    while job["done"] < done and not job["finished_at"]:
        time.sleep(0.02)
        job = service.client.get(f"/jobs/{job_id}").json()
    return job


def test_an_import_goes_on_after_kill_9(tmp_path: Path) -> None:
    shop = archive({f"p{seed % 5}/{seed}.jpg": pictures.jpeg(seed) for seed in range(IMAGES)})
    service = RunningService(tmp_path / "data", **SETTINGS)
    accepted = service.client.post("/gallery/import", content=shop, headers=HEADERS).json()
    for share in (4, 20):
        assert wait(service, accepted["job_id"], share)["state"] == "running"
        service.kill()
        service = RunningService(tmp_path / "data", **SETTINGS)
    service.stop()
    with running_service(tmp_path / "data", **SETTINGS) as service:
        again = service.client.post("/gallery/import", content=shop, headers=HEADERS)
        assert again.json() == accepted
        job = wait(service, accepted["job_id"], IMAGES)
        while not job["finished_at"]:
            job = wait(service, accepted["job_id"], IMAGES + 1)
        assert (job["state"], job["done"], job["failed"]) == ("done", IMAGES, 0)
        # What was kept but not counted yet when it was killed was there already when it went on.
        assert job["added"] + job["duplicates"] == IMAGES
        gallery = service.client.get("/gallery").json()
        assert (gallery["products"], gallery["images"]) == (5, IMAGES)
        # Somebody goes away amid an export: nothing stays open, so that closing can tidy up.
        with service.client.stream("GET", "/gallery/export") as export:
            assert next(export.iter_raw()).startswith(b"PK")
        assert service.stop() == 0
    assert (tmp_path / "data" / "gallery" / "gallery.sqlite3").exists()
    assert not list((tmp_path / "data").rglob("*-wal"))
