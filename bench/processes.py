"""What a process has taken, as the system tells it."""

import os
from pathlib import Path


def memory(pid: int) -> tuple[float, float]:
    """Megabytes in memory: its own, and those of mapped files, which the system may drop."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    own, mapped = (int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, mapped


def processor_seconds(pid: int) -> float:
    """Seconds of all cores that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
