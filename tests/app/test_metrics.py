import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.service import Service
from tests.app import pictures

ROOT = Path(__file__).parents[2]


def sample(client: TestClient, name: str, **labels: str) -> float | None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for family in text_string_to_metric_families(answer.text):
        for found in family.samples:
            if found.name == name and labels.items() <= found.labels.items():
                return found.value
    return None


def test_a_recognition_is_measured(client: TestClient) -> None:
    assert sample(client, "tillsight_outcomes_total", outcome="unknown") == 0
    timing = client.post("/recognize", files={"image": pictures.jpeg(1)}).json()["timing_ms"]
    for stage, milliseconds in timing.items():
        labels = {"route": "/recognize", "stage": stage}
        assert sample(client, "tillsight_stage_seconds_count", **labels) == 1
        measured = sample(client, "tillsight_stage_seconds_sum", **labels)
        assert measured is not None
        assert abs(measured * 1000 - milliseconds) < 0.02
    assert sample(client, "tillsight_request_seconds_count", route="/recognize") == 1
    assert (sample(client, "tillsight_outcomes_total", outcome="unknown") or 0) >= 1
    assert sample(client, "tillsight_outcomes_total", outcome="match") == 0
    for model in ("both", "detector", "embedder"):
        assert sample(client, "tillsight_queue_depth", model=model) == 0


def test_the_gallery_is_told(client: TestClient) -> None:
    client.put("/gallery/products/a", json={"name": "A"})
    client.post("/gallery/products/a/images", files={"images": pictures.jpeg(1)})
    gallery = client.get("/gallery").json()
    assert sample(client, "tillsight_gallery_size", kind="products") == 1
    assert sample(client, "tillsight_gallery_size", kind="images") == 1
    assert sample(client, "tillsight_gallery_revision") == gallery["revision"]
    assert sample(client, "tillsight_index_state", state="ready") == 1
    assert sample(client, "tillsight_index_state", state="rebuilding") == 0
    assert sample(client, "tillsight_jobs", state="running") == 0


def test_what_serves_is_told(client: TestClient, service: Service) -> None:
    fingerprint = service.embedder.fingerprint
    assert (
        sample(
            client,
            "tillsight_build_info",
            pack="embedded",
            engine="paddle-fp32",
            fingerprint=fingerprint,
        )
        == 1
    )
    assert sample(client, "tillsight_ready") == 1
    assert (sample(client, "process_resident_memory_bytes") or 0) > 50_000_000
    assert (sample(client, "process_open_fds") or 0) > 3


def test_the_first_problem_of_a_kind_is_an_increase(client: TestClient) -> None:
    def problems() -> dict[str, float]:
        families = text_string_to_metric_families(client.get("/metrics").text)
        return {
            found.labels["code"]: found.value
            for family in families
            for found in family.samples
            if found.name == "tillsight_problems_total"
        }

    before = problems()
    table = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert before == dict.fromkeys(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE), 0)
    client.get("/gallery/products/nobody")
    after = problems()
    assert {code for code in after if after[code] != before[code]} == {"unknown-product"}


def test_ids_make_no_series(client: TestClient) -> None:
    for number in range(5):
        client.get(f"/gallery/products/{number}")
        client.get(f"/nothing/{number}")
    routes = set(re.findall(r'route="([^"]+)"', client.get("/metrics").text))
    assert {"/gallery/products/{product_id}", "none"} <= routes
    assert not [route for route in routes if re.search(r"\d", route)]
