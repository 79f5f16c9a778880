"""The examples of docs/examples, run as they are against a service with keys.

C# is left to the reader: no runtime of it comes with the development dependencies.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from app.keys import Scope, create_key
from tests.app.processes import RunningService, running_service
from tillsight.client import Client

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PHOTOGRAPH = ROOT / "app" / "samples" / "scenes" / "scene-1.jpg"
# The browser's driver brings Node.
NODE = compute_driver_executable()[0]
COMMANDS = {
    "recognize.sh": ["sh"],
    "recognize.py": [sys.executable],
    "recognize.mjs": [NODE],
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningService, str]]:
    folder = tmp_path_factory.mktemp("examples") / "data"
    _, office = create_key(folder / "keys.json", "office", [Scope.GALLERY])
    _, till = create_key(folder / "keys.json", "till", [Scope.RECOGNIZE])
    with (
        running_service(folder, sample_gallery=False) as service,
        Client(service.url, key=office, trust_env=False) as client,
    ):
        client.put_product("tray", "Breakfast tray")
        client.add_images("tray", [PHOTOGRAPH])
        yield service, till


def run(example: str, service: RunningService, key: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMANDS[example], str(EXAMPLES / example), str(PHOTOGRAPH)],
        cwd=ROOT,
        env=os.environ
        | {"TILLSIGHT_URL": service.url, "TILLSIGHT_KEY": key, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("example", COMMANDS)
def test_an_example_recognises(example: str, running: tuple[RunningService, str]) -> None:
    done = run(example, *running)
    assert done.returncode == 0, done.stderr
    assert "match" in done.stdout
    assert "Breakfast tray" in done.stdout


@pytest.mark.parametrize("example", COMMANDS)
def test_an_example_says_why_it_was_refused(
    example: str, running: tuple[RunningService, str]
) -> None:
    done = run(example, running[0], "tillsight_0_0")
    assert done.returncode != 0
    assert "invalid-key" in done.stdout + done.stderr


def test_every_example_is_run_or_said_not_to_be() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    told = {name: "not run" in line for name, line in re.findall(r"\| `(\S+)` (.*)", readme)}
    assert told == {**dict.fromkeys(COMMANDS, False), "Recognize.cs": True}
    assert {path.name for path in EXAMPLES.iterdir()} == {*told, "README.md"}
