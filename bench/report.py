"""Sections of a Markdown report, each between markers of its own, so that benches share a file."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.pack import PACKS
from models.processor import available_cores

_STAT = Path("/proc/stat")
_REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)
TITLE = "# Benchmarks\n\nEach section is written by the command it names.\n"
_SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "data": ("--data", {"type": Path, "default": Path("../shared/data")}),
    "pack": ("--pack", {"type": Path, "default": PACKS / "embedded", "help": "its folder"}),
    "pack name": ("--pack", {"default": "embedded", "help": "its name"}),
    "threads": ("--threads", {"type": int, "default": 2}),
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column after the first is right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _core_seconds() -> tuple[float, float]:
    """Seconds of all cores since the machine started: busy ones, and all."""
    if not _STAT.exists():
        return 0.0, 0.0
    fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    idle = fields[3] + fields[4]  # and waiting for a disk
    return (sum(fields) - idle) / ticks, sum(fields) / ticks


_BEGAN = _core_seconds()


def others() -> float:
    """Share of the cores that other processes have used since this one began, 0 to 1.

    Processes that this one started count as its own once it has waited for them.
    """
    busy, passed = (now - then for now, then in zip(_core_seconds(), _BEGAN, strict=True))
    own = sum(os.times()[:4])
    return min(1.0, max(0.0, (busy - own) / passed)) if passed else 0.0


def circumstances() -> str:
    """Processor, cores, software, date and disturbance, for the foot of a section."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    python = ".".join(str(part) for part in sys.version_info[:3])
    date = datetime.now(UTC).date().isoformat()
    # Threads of other processes do not delay those of this class; they still share the caches.
    scheduled = " Run in the real-time class." if os.sched_getscheduler(0) in _REAL_TIME else ""
    return (
        f"{processor}, {available_cores()} cores, Python {python}, {date}. "
        f"Other processes used {others():.0%} of the cores meanwhile.{scheduled}"
    )


def write_section(report: Path, name: str, content: str) -> None:
    """Replaces the section `name` of the report, or adds it at the end."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    text = report.read_text(encoding="utf-8") if report.exists() else TITLE
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    content = f"{before}{begin}\n{content.strip()}\n{end}{after}"
    report.write_text(content, encoding="utf-8")


def parser_of(text: str | None, *shared: str) -> argparse.ArgumentParser:
    """The parser of a bench whose docstring is `text`, with some of the options that benches share.

    Always among them: `--write`, which `publish` follows.
    """
    parser = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    for name in shared:
        flag, option = _SHARED[name]
        parser.add_argument(flag, **option)
    help_ = "report whose section is replaced, as docs/benchmarks.md"
    parser.add_argument("--write", type=Path, metavar="REPORT", help=help_)
    return parser


def publish(report: Path | None, name: str, content: str) -> None:
    """Print a section and, where a report is given, write it there."""
    print(content)
    if report is not None:
        write_section(report, name, content)
