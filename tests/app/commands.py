"""The command line as an operator calls it, and photographs to enrol."""

import subprocess
import sys
from pathlib import Path

from tests.app import pictures
from tests.app.processes import service_environment


def tillsight(
    *arguments: str, data_dir: Path, **settings: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=service_environment(data_dir, **settings) | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def write_shop(folder: Path) -> Path:
    """Two photographs of one product and one of another."""
    for product, seeds in {"apple juice": (1, 2), "rye-bread": (3,)}.items():
        (folder / product).mkdir(parents=True)
        for seed in seeds:
            (folder / product / f"{seed}.jpg").write_bytes(pictures.jpeg(seed))
    return folder
