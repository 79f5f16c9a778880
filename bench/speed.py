"""All benches of speed, one after another, each printing its section, or writing it.

    python -m bench.speed --environment FOLDER [--data ../shared/data] [--write docs/benchmarks.md]

FOLDER is that of `bench.peers`. Takes half an hour on two cores; leave the machine alone.
"""

import subprocess
import sys
from pathlib import Path

from bench.packs import OFFICIAL
from bench.report import parser_of
from models.session import Engine

# The default, and the quickest.
ENGINES: tuple[Engine, ...] = ("paddle-fp32", "openvino-bf16")


def main() -> None:
    parser = parser_of(__doc__, "data")
    parser.add_argument("--environment", type=Path, required=True)
    options = parser.parse_args()
    peers = ["bench.peers", "--environment", str(options.environment)]
    for command in (
        ["bench.startup"],
        ["bench.stages"],
        ["bench.stages", "--pack", OFFICIAL],
        ["bench.serve"],
        ["bench.threads"],
        ["bench.engines", "--data", str(options.data), "--every", "1"],
        *([*peers, "--engine", engine] for engine in ENGINES),
        *([*peers, "--engine", engine, "--pack", OFFICIAL] for engine in ENGINES),
    ):
        write = ["--write", str(options.write)] if options.write else []
        subprocess.run([sys.executable, "-m", *command, *write], check=True)


if __name__ == "__main__":
    main()
