"""The documents' commands, as they are written there, on a service that runs."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.app.processes import RunningService, service_environment

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def shell_blocks(document: str, word: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", read(document), re.DOTALL)
    return [block for block in blocks if word in block]


def run(script: str, running: RunningService, folder: Path = ROOT) -> str:
    """What the script says; it must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, running.url)],
        cwd=folder,
        env=service_environment(running.log.parent / "data"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def json_documents(text: str) -> list[dict[str, Any]]:
    """The JSON documents that several commands wrote one behind the other."""
    documents = []
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        document, position = decoder.raw_decode(text, position)
        documents.append(document)
        position += len(text[position:]) - len(text[position:].lstrip())
    return documents
