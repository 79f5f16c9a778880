"""From the command to ready, and the memory it takes then.

    python -m bench.startup [--pack embedded] [--threads 2] [--starts 5] [--report FILE]

First starts have an empty data folder and enrol the sample products; later ones find it as it was
left. Processor time tells what a start costs when the machine does nothing else.
"""

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.report import circumstances, table, write_section
from bench.serve import service


def processor_seconds(pid: int) -> float:
    """Seconds of all cores that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[float, float]:
    """Megabytes of a process in memory: its own, and those of mapped files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    own, mapped = (int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, mapped


def start(folder: Path, pack: str, threads: int) -> tuple[float, float, float, float]:
    """Seconds to ready, seconds of processor time, megabytes own and mapped."""
    began = perf_counter()
    with service(folder, pack, threads) as (_, pid):
        return perf_counter() - began, processor_seconds(pid), *memory(pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pack", default="embedded")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--report", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args()
    first, later = [], []
    for _ in range(options.starts):
        with tempfile.TemporaryDirectory() as folder:
            first.append(start(Path(folder), options.pack, options.threads))
            later.append(start(Path(folder), options.pack, options.threads))
    rows = []
    for name, starts in (("empty data folder", first), ("data folder as it was left", later)):
        seconds, busy, own, mapped = (median(values) for values in zip(*starts, strict=True))
        rows.append([name, f"{seconds:.1f}", f"{busy:.1f}", f"{own:.0f} + {mapped:.0f}"])
    header = ("start with", "to ready, s", "of processor time, s", "memory, own + mapped, MB")
    text = (
        f"## Start\n\n`python -m bench.startup`: medians of {options.starts}, pack "
        f"`{options.pack}`, {options.threads} threads. {circumstances()}\n\n{table(header, rows)}"
    )
    write_section(options.report, "start", text)
    print(text)


if __name__ == "__main__":
    main()
