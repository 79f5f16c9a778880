"""Runs a fuzz target on seeds that the project makes: atheris, with libFuzzer's own options."""

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import process_time

import atheris

# For an input that never ends; the process may take 1.5 GB. The last of equal options counts.
OPTIONS = ("-timeout=30", "-rss_limit_mb=1500", "-max_len=65536", "-print_final_stats=1")
# Of the processor's time: on a machine that does other things, too, a second soon passes.
MOST_SECONDS = 1.0


class TooSlow(Exception):
    """An input took more than a second."""


def run(target: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz until the options of the command line (`-runs=1000000`) end it."""

    def timed(data: bytes) -> None:
        start = process_time()
        target(data)
        if (seconds := process_time() - start) > MOST_SECONDS:
            raise TooSlow(f"{seconds:.1f} s")

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([sys.argv[0], *OPTIONS, *sys.argv[1:], corpus], timed)
        atheris.Fuzz()
