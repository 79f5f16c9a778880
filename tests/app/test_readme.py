"""The README's commands, as written, against a service on the sample gallery."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.processes import RunningService, running_service, service_environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


def shell_blocks(word: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [block for block in blocks if word in block]


def json_documents(text: str) -> list[dict]:
    """The JSON documents that several commands wrote one behind the other."""
    documents = []
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        document, position = decoder.raw_decode(text, position)
        documents.append(document)
        position += len(text[position:]) - len(text[position:].lstrip())
    return documents


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("readme") / "data"
    with running_service(folder, sample_gallery=True) as service:
        yield service


def run(block: str, running: RunningService) -> str:
    environment = service_environment(running.log.parent / "data")
    script = block.replace(ADDRESS, running.url).replace("out.png", f"{running.log.parent}/out.png")
    done = subprocess.run(
        [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            script,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_look_recognises_a_product(running: RunningService) -> None:
    first, *_ = shell_blocks("curl")
    (answer,) = json_documents(run(first, running))
    assert answer["results"][0]["outcome"] == "match"
    shown = json.loads(re.findall(r"```json\n(.*?)```", README, re.DOTALL)[0])
    assert shown["results"][0]["product"] == answer["results"][0]["product"]
    assert shown.keys() == answer.keys()


def test_teaching_a_product(running: RunningService) -> None:
    _, teach, *_ = shell_blocks("curl")
    created, added, recognised = json_documents(run(teach, running))
    assert created["id"] == "4006381333931"
    assert added["images"][0]["id"]
    assert recognised["results"][0]["product"]["id"] == "4006381333931"


def test_the_other_calls_answer(running: RunningService) -> None:
    detected, embedded, gallery = json_documents(run(shell_blocks("/detect")[0], running))
    assert detected["detections"]
    assert len(embedded["embeddings"]) == 2
    assert gallery["products"] == 12
    (problem,) = json_documents(run(shell_blocks("image=@README.md")[0], running))
    assert problem["code"] == "unsupported-image"


def test_the_command_line(running: RunningService) -> None:
    shown = run(shell_blocks("gallery stats")[0], running)
    assert "match" in shown
    assert '"products": 12' in shown
    assert "embedded" in shown
