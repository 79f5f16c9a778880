"""What is in deploy/ speaks of metrics, settings and versions that there are."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

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


def test_alerts_watch_series_that_are_there_before_the_first_problem(client: TestClient) -> None:
    text = client.get("/metrics").text
    watched = [
        code
        for expression in expressions("alerts.yml")
        for codes in re.findall(r'problems_total\{code=~?"([^"]+)"', expression)
        for code in codes.split("|")
    ]
    assert "storage-failed" in watched
    for code in watched:
        assert f'tillsight_problems_total{{code="{code}"}} 0.0' in text


def test_manifests_set_what_can_be_set_in_the_version_that_there_is() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    settings = {f"TILLSIGHT_{name.upper()}" for name in Settings.model_fields}
    for path in (
        "docker-compose.yml",
        "deploy/compose.cluster.yml",
        "deploy/kubernetes.yaml",
        "deploy/kubernetes-cluster.yaml",
        "deploy/tillsight.service",
    ):
        text = (ROOT / path).read_text(encoding="utf-8")
        named = set(re.findall(r"TILLSIGHT_[A-Z_]+", text))
        assert named <= settings, path
        for image in re.findall(r"image: (tillsight\S+)", text):
            assert image == f"tillsight:{version}"


def audit(report: Path) -> tuple[int, str]:
    ended = subprocess.run(
        [ROOT / "deploy" / "audit", report], capture_output=True, text=True, timeout=60
    )
    return ended.returncode, ended.stdout


def test_an_audit_fails_for_what_is_vulnerable_and_says_what_it_did_not_see(tmp_path: Path) -> None:
    report = tmp_path / "audit.json"
    code, said = audit(report)
    assert (code, said.split(":")[0]) == (0, "NOT AUDITED")
    fine = {"name": "fine", "version": "1", "vulns": []}
    strange = {"name": "strange", "skip_reason": "Dependency not found on PyPI"}
    report.write_text(json.dumps({"dependencies": [fine, strange]}))
    code, said = audit(report)
    assert code == 0
    assert "1 of 2 packages audited" in said
    assert "NOT AUDITED, unknown to the advisory service: strange" in said
    found = {"id": "PYSEC-2026-1", "fix_versions": ["2"]}
    report.write_text(json.dumps({"dependencies": [fine | {"vulns": [found]}]}))
    code, said = audit(report)
    assert code == 1
    assert "fine 1: PYSEC-2026-1, fixed in 2" in said


def test_the_bill_of_materials_has_what_is_installed_with_its_hashes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "requirements.lock"]
    made = subprocess.run(
        [*command, "--output-reproducible"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    components = json.loads(made.stdout)["components"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.+]+)", lock, re.MULTILINE))
    assert {component["name"]: component["version"] for component in components} == pinned
    for component in components:
        hashes = [found["content"] for found in component["externalReferences"][0]["hashes"]]
        assert all(f"sha256:{digest}" in lock for digest in hashes)


def test_the_base_of_the_image_is_one_and_no_other() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG BASE=(\S+)", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]


def test_the_cluster_scales_on_a_metric_that_there_is(client: TestClient) -> None:
    text = (ROOT / "deploy" / "kubernetes-cluster.yaml").read_text(encoding="utf-8")
    (scaled,) = re.findall(r"metric: {name: (\w+)}", text)
    assert f"# TYPE {scaled} gauge" in client.get("/metrics").text


@pytest.mark.parametrize("proxy", ["nginx.conf", "nginx-cluster.conf"])
def test_a_page_behind_the_proxy_is_of_its_own_origin(proxy: str) -> None:
    """`$host` has no port, which the origin of a page at another one than 80 or 443 has."""
    assert "proxy_set_header Host $http_host;" in (ROOT / "deploy" / proxy).read_text("utf-8")


@pytest.mark.parametrize("proxy", ["nginx.conf", "nginx-cluster.conf"])
def test_the_proxy_lets_pass_what_the_service_takes(proxy: str) -> None:
    text = (ROOT / "deploy" / proxy).read_text(encoding="utf-8")
    requests, imports = re.findall(r"client_max_body_size (\w+);", text)
    defaults = Settings.model_fields
    assert int(requests.removesuffix("m")) << 20 == defaults["max_request_bytes"].default
    assert int(imports.removesuffix("g")) << 30 == defaults["max_import_bytes"].default


def replicas(document: str) -> list[dict[str, Any]]:
    """Services of a compose file that run TillSight."""
    services = yaml.safe_load((ROOT / document).read_text(encoding="utf-8"))["services"]
    return [service for service in services.values() if service["image"].startswith("tillsight:")]


@pytest.mark.parametrize("document", ["docker-compose.yml", "deploy/compose.cluster.yml"])
def test_compose_passes_every_setting_but_those_of_the_container(document: str) -> None:
    base = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    of_container = {"TILLSIGHT_HOST", "TILLSIGHT_PORT", "TILLSIGHT_DATA_DIR"}
    environment = base.partition("ENV PATH")[2].partition("RUN")[0]
    of_image = dict(re.findall(r"(TILLSIGHT_\w+)=(\S+)", environment))
    assert replicas(document)
    for service in replicas(document):
        assert service["env_file"] == [{"path": ".env", "required": False}]
        # What stands here wins over the file: nothing that an operator may want to choose, unless
        # it is taken from there.
        fixed = {name: value for name, value in service["environment"].items() if "$" not in value}
        mine = {name for name in fixed if name.startswith("TILLSIGHT_")}
        gallery = {"TILLSIGHT_GALLERY_URL", "TILLSIGHT_GALLERY_PICTURES"}
        assert of_container <= mine <= of_container | gallery
        assert {name: of_image[name] for name in of_container} == {
            name: fixed[name] for name in of_container
        }
        # A pack that was trained here serves from the data folder: the build can't fetch it.
        assert "TILLSIGHT_" not in str(service["build"])


@pytest.mark.parametrize("document", ["docker-compose.yml", "deploy/compose.cluster.yml"])
def test_compose_bounds_memory_and_logs(document: str) -> None:
    services = yaml.safe_load((ROOT / document).read_text(encoding="utf-8"))["services"]
    for name, service in services.items():
        assert service.get("mem_limit"), name
        assert service["logging"]["options"] == {"max-size": "50m", "max-file": "5"}, name


@pytest.mark.parametrize("document", ["docker-compose.yml", "deploy/compose.cluster.yml"])
def test_compose_gives_no_service_the_privileges_of_root(document: str) -> None:
    services = yaml.safe_load((ROOT / document).read_text(encoding="utf-8"))["services"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_replicas_reach_nothing_but_their_pictures_in_the_object_store() -> None:
    text = (ROOT / "deploy" / "compose.cluster.yml").read_text(encoding="utf-8")
    made = yaml.safe_load(text)["services"]["bucket"]
    policy = json.loads(made["environment"]["POLICY"])
    bucket = "arn:aws:s3:::tillsight"
    assert [entry["Resource"] for entry in policy["Statement"]] == [[bucket], [f"{bucket}/*"]]
    for service in replicas("deploy/compose.cluster.yml"):
        environment = service["environment"]
        assert environment["TILLSIGHT_GALLERY_PICTURES"] == "s3://tillsight"
        assert environment["AWS_ACCESS_KEY_ID"] == "tillsight"
        assert environment["AWS_SECRET_ACCESS_KEY"] == made["environment"]["PICTURES_PASSWORD"]
        # The file of settings, which a replica gets whole, has the other account as well.
        assert environment["OBJECTS_USER"] == environment["OBJECTS_PASSWORD"] == ""


def test_replicas_on_one_machine_share_its_cores() -> None:
    for service in replicas("deploy/compose.cluster.yml"):
        assert service["environment"]["TILLSIGHT_THREADS"] == "${TILLSIGHT_THREADS:-1}"


def test_the_proxy_lets_people_behind_one_address_open_the_page() -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    page = ROOT / "app" / "page"
    (shown,) = re.findall(r"const PAGE = (\d+)", (page / "gallery.js").read_text(encoding="utf-8"))
    requests = len(list(page.iterdir())) + 2 * int(shown)
    (burst,) = re.findall(r"burst=(\d+)", text)
    assert int(burst) > 3 * requests
    assert "limit_req_status 429;" in text


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    wrong = tmp_path / "python3.13"
    wrong.write_text("#!/bin/sh\nexit 1\n")
    wrong.chmod(0o755)
    made = subprocess.run(
        ["make", "-f", ROOT / "Makefile", ".venv/bin/python", f"PYTHON={wrong}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode
    assert "needs Python 3.11 or 3.12" in made.stdout
    assert not (tmp_path / ".venv").exists()


def test_the_image_gets_every_package_that_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {pattern.rstrip("*") for pattern in found}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert packages == {name for name in packages if f"\nCOPY {name} {name}\n" in dockerfile}
    assert packages == {name for name in packages if f"!{name}" in let_through}
