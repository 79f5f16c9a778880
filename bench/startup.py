"""From the command to ready, the memory it takes then, and the first recognitions.

    python -m bench.startup [--pack embedded] [--threads 2] [--starts 5] [--write FILE]

First starts have an empty data folder and enrol the sample products; later ones find it as it was
left. Processor time tells what a start costs when the machine does nothing else. A photograph of
1080p is then recognised, the first and the tenth time.
"""

import tempfile
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.photographs import Photograph, photographs
from bench.processes import memory, processor_seconds
from bench.report import circumstances, parser_of, publish, table
from bench.serve import HOST, SCENES, service
from bench.stages import post

RECOGNITIONS = 10


def start(folder: Path, pack: str, threads: int, photo: Photograph) -> tuple[float, ...]:
    """Seconds to ready and of processor time, megabytes own and mapped, the recognitions' ms."""
    began = perf_counter()
    with service(folder, pack, threads) as (port, pid):
        ready = (perf_counter() - began, processor_seconds(pid), *memory(pid))
        client = HTTPConnection(HOST, port)
        milliseconds = []
        for _ in range(RECOGNITIONS):
            asked = perf_counter()
            post(client, "/recognize", photo)
            milliseconds.append((perf_counter() - asked) * 1000)
        client.close()
        return (*ready, milliseconds[0], milliseconds[-1])


def main() -> None:
    parser = parser_of(__doc__, "pack name", "threads")
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    [photo] = photographs(("1080p",), SCENES[:1])
    first, later = [], []
    for _ in range(options.starts):
        with tempfile.TemporaryDirectory() as folder:
            first.append(start(Path(folder), options.pack, options.threads, photo))
            later.append(start(Path(folder), options.pack, options.threads, photo))
    rows = []
    for name, starts in (("empty data folder", first), ("data folder as it was left", later)):
        seconds, busy, own, mapped, *asked = map(median, zip(*starts, strict=True))
        memories = f"{own:.0f} + {mapped:.0f}"
        answers = " / ".join(f"{milliseconds:.0f}" for milliseconds in asked)
        rows.append([name, f"{seconds:.1f}", f"{busy:.1f}", memories, answers])
    header = (
        "start with",
        "to ready, s",
        "of processor time, s",
        "memory, own + mapped, MB",
        f"recognition 1 / {RECOGNITIONS}, ms",
    )
    text = (
        f"## Start\n\n`python -m bench.startup`: medians of {options.starts}, pack "
        f"`{options.pack}`, {options.threads} threads. {circumstances()}\n\n{table(header, rows)}"
    )
    publish(options.write, "start", text)


if __name__ == "__main__":
    main()
