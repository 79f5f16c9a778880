"""Sections of a Markdown report, each between markers of its own, so that benches share a file."""

import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from models.session import available_cores

TITLE = "# Benchmarks\n\nEach section is written by the command it names.\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column after the first is right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def circumstances() -> str:
    """Processor, cores, software and date, for the foot of a section."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    python = ".".join(str(part) for part in sys.version_info[:3])
    date = datetime.now(UTC).date().isoformat()
    return f"{processor}, {available_cores()} cores, Python {python}, {date}."


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
