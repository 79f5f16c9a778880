"""How many threads each network should have, by the cores that there are.

    python -m bench.threads [--pack embedded] [--seconds 8] [--write FILE]

The service is confined to 1, 2, 4 … of this machine's cores and started with 1, half and all of
them as `TILLSIGHT_THREADS`, for one client and for sixteen. The load is made on the same cores. On
all cores also beside processes that do nothing but keep a core busy each.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.photographs import photographs
from bench.report import circumstances, parser_of, publish, table
from bench.serve import SCENES, Connection, closed, post, service

CLIENTS = (1, 16)
CEILING = 10  # the reference's threads
BUSY = (0, 1, 2, 3)


async def rates(port: int, seconds: float) -> list[str]:
    """Answers a second and median milliseconds, for each number of clients."""
    requests = [post("/recognize", photo.jpeg) for photo in photographs(["1080p"], SCENES)]
    connection = Connection(port)
    truth = [(await connection.ask(request))[1] for request in requests]
    connection.close()
    shown = []
    for clients in CLIENTS:
        row = (await closed(port, requests, truth, clients, seconds)).row("")
        shown.append(f"{row[1]} ({row[2]})")
    return shown


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Beside so many processes that never wait."""
    with ExitStack() as stack:
        for _ in range(processes):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def main() -> None:
    parser = parser_of(__doc__, "pack name")
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    there = sorted(os.sched_getaffinity(0))
    rows = []
    for cores in (count for count in (1, 2, 4, 8, 16) if count <= len(there)):
        for threads in sorted({1, max(1, cores // 2), min(cores, CEILING)}):
            for others in BUSY if cores == len(there) else BUSY[:1]:
                with (
                    tempfile.TemporaryDirectory() as folder,
                    busy(others),
                    service(Path(folder), options.pack, threads, set(there[:cores])) as (port, _),
                ):
                    found = asyncio.run(rates(port, options.seconds))
                rows.append([f"{cores}, {threads}, {others}", *found])
    loads = (f"{clients} at once: answers/s (median ms)" for clients in CLIENTS)
    header = ("cores, threads, busy processes beside", *loads)
    text = (
        f"## Threads\n\n`python -m bench.threads`: `/recognize` over HTTP, 1080p, pack "
        f"`{options.pack}`, {options.seconds:g} s each. {circumstances()}\n\n{table(header, rows)}"
    )
    publish(options.write, "threads", text)


if __name__ == "__main__":
    main()
