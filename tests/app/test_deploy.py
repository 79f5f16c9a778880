"""What is in deploy/ speaks of metrics, settings and versions that there are."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

from app.settings import Settings

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
NAME = re.compile(r"\b(?:tillsight|process)_[a-z_]+\b")
# Of the text format: what a counter, histogram or info adds to its family's name.
PARTS = re.compile(r"_(?:total|bucket|sum|count|info)$")


def expressions(document: str) -> list[str]:
    text = (MONITORING / document).read_text(encoding="utf-8")
    if document.endswith(".json"):
        panels = json.loads(text)["panels"]
        return [target["expr"] for panel in panels for target in panel["targets"]]
    return [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("document", ["alerts.yml", "grafana.json"])
def test_monitoring_asks_for_metrics_that_there_are(client: TestClient, document: str) -> None:
    text = client.get("/metrics").text
    families = {PARTS.sub("", name) for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)}
    asked = {PARTS.sub("", name) for text in expressions(document) for name in NAME.findall(text)}
    assert len(asked) > 5
    assert asked <= families


def test_manifests_set_what_can_be_set_in_the_version_that_there_is() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    settings = {f"TILLSIGHT_{name.upper()}" for name in Settings.model_fields}
    for path in ("docker-compose.yml", "deploy/kubernetes.yaml", "deploy/tillsight.service"):
        text = (ROOT / path).read_text(encoding="utf-8")
        named = set(re.findall(r"TILLSIGHT_[A-Z_]+", text))
        assert named <= settings, path
        for image in re.findall(r"image: (\S+)", text):
            assert image == f"tillsight:{version}"


def test_the_proxy_lets_pass_what_the_service_takes() -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    requests, imports = re.findall(r"client_max_body_size (\w+);", text)
    defaults = Settings.model_fields
    assert int(requests.removesuffix("m")) << 20 == defaults["max_request_bytes"].default
    assert int(imports.removesuffix("g")) << 30 == defaults["max_import_bytes"].default
