"""How long a gallery takes from opening to its first answer, and what memory it takes.

Run in a process of its own: `python -m bench.restart FOLDER [--cold]`; prints JSON.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from bench.clusters import DIMENSION
from bench.processes import memory
from gallery import Gallery

FINGERPRINT = "0" * 16
SEARCHES = 200


def forget(folder: Path) -> None:
    """Have the system drop its cache of the files, so that they come from the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def restarted(folder: Path, graph_from: int, *, cold: bool) -> dict[str, float]:
    """What a process of its own measures."""
    command = [sys.executable, "-m", "bench.restart", str(folder), f"--graph-from={graph_from}"]
    if cold:
        command.append("--cold")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--graph-from", type=int, required=True)
    options = parser.parse_args()
    if options.cold:
        forget(options.folder)
    queries = np.random.default_rng(5).standard_normal((SEARCHES, DIMENSION), dtype=np.float32)
    before = memory(os.getpid())
    start = perf_counter()
    with Gallery.open(
        options.folder,
        dimension=DIMENSION,
        fingerprint=FINGERPRINT,
        graph_from=options.graph_from,
    ) as gallery:
        gallery.search(queries[:1], 5)
        seconds = perf_counter() - start
        for query in queries:
            gallery.search(query[None], 5)
        own, mapped = (now - then for now, then in zip(memory(os.getpid()), before, strict=True))
    print(json.dumps({"seconds": seconds, "own_mb": own, "mapped_mb": mapped}))


if __name__ == "__main__":
    main()
