"""Runs a fuzz target on seeds that the project makes: atheris, with libFuzzer's own options."""

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

# One input may take a second and the process 1.5 GB; the last of equal options counts.
OPTIONS = ("-timeout=1", "-rss_limit_mb=1500", "-max_len=65536", "-print_final_stats=1")


def run(target: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz until the options of the command line (`-runs=1000000`) end it."""
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([sys.argv[0], *OPTIONS, *sys.argv[1:], corpus], target)
        atheris.Fuzz()
