"""What this processor has for inference."""

import os
from pathlib import Path

# A processor without these computes bfloat16 slower than float32, if at all.
_BF16_FEATURES = {"avx512_bf16", "amx_bf16"}
_CPU_INFO = Path("/proc/cpuinfo")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Cores this process may use: CPU affinity and, where there is one, the cgroup's quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CPU_QUOTA.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    if quota == "max":
        return cores
    return max(1, min(cores, int(quota) // int(period)))


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself."""
    try:
        return not _BF16_FEATURES.isdisjoint(_CPU_INFO.read_text(encoding="utf-8").split())
    except OSError:
        return False
