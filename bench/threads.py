"""How many threads each network should have, by the cores that there are.

    python -m bench.threads [--pack embedded] [--seconds 8] [--report FILE]

The service is confined to 1, 2, 4 … of this machine's cores and started with 1, half and all of
them as `TILLSIGHT_THREADS`, for one client and for sixteen. The load is made on the same cores.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from bench.photographs import photographs
from bench.report import circumstances, table, write_section
from bench.serve import SCENES, Connection, closed, request_of, service

CLIENTS = (1, 16)
CEILING = 10  # the reference's threads


async def rates(port: int, seconds: float) -> list[str]:
    """Answers a second and median milliseconds, for each number of clients."""
    requests = [request_of(photo) for photo in photographs(["1080p"], SCENES)]
    connection = Connection(port)
    truth = [(await connection.ask(request))[1] for request in requests]
    connection.close()
    shown = []
    for clients in CLIENTS:
        row = (await closed(port, requests, truth, clients, seconds)).row("")
        shown.append(f"{row[1]} ({row[2]})")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pack", default="embedded")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--report", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args()
    there = sorted(os.sched_getaffinity(0))
    rows = []
    for cores in (count for count in (1, 2, 4, 8, 16) if count <= len(there)):
        for threads in sorted({1, max(1, cores // 2), min(cores, CEILING)}):
            with (
                tempfile.TemporaryDirectory() as folder,
                service(Path(folder), options.pack, threads, set(there[:cores])) as (port, _),
            ):
                rows.append([f"{cores}, {threads}", *asyncio.run(rates(port, options.seconds))])
    header = ("cores, threads", *(f"{n} at once: answers/s (median ms)" for n in CLIENTS))
    text = (
        f"## Threads\n\n`python -m bench.threads`: `/recognize` over HTTP, 1080p, pack "
        f"`{options.pack}`, {options.seconds:g} s each. {circumstances()}\n\n{table(header, rows)}"
    )
    write_section(options.report, "threads", text)
    print(text)


if __name__ == "__main__":
    main()
