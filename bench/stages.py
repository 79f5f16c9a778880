"""Where the time of a request goes, against what the networks alone take, in one run.

    python -m bench.stages [--pack embedded] [--threads 2] [--rounds 30] [--write FILE]

Starts the service, which enrols the sample products, and asks it over HTTP for one scene in three
sizes, one request at a time. The raw forwards, of the same detector input and the same number of
crops in one batch, run between the requests. Service, raw forwards and client are processes of
their own, the first two with the same number of threads, so that both see the same machine.
`--pack official-seeded`: the official architectures (`bench.official`).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO, Any

import numpy as np

from app.settings import Settings
from bench.packs import find_or_make, section_of
from bench.photographs import SIZES, Photograph, photographs
from bench.report import circumstances, parser_of, publish, table
from bench.serve import HOST, service
from models.allocation import keep_freed_memory
from models.pack import Pack
from models.session import Session

STAGES = (
    "decode",
    "detect_preprocess",
    "detect",
    "embed_preprocess",
    "embed",
    "search",
    "rerank",
    "queue",
    "total",
)
SCENE = "scene-4.jpg"
WARM = 3


def raw_forwards(pack: Pack, threads: int) -> None:
    """Answer each line `crops` of standard input with one of milliseconds, detector and embedder.

    Called as a process of its own: `python -m bench.stages --raw FOLDER`.
    """
    keep_freed_memory()
    rng = np.random.default_rng(0)
    detector, embedder = (
        Session(pack.folder / spec.model, pack.folder / spec.params, threads)
        for spec in (pack.detector, pack.embedder)
    )
    image = rng.standard_normal((1, 3, *pack.detector.input_size), dtype=np.float32)
    feeds = {
        "image": image,
        "scale_factor": np.ones((1, 2), np.float32),
        "im_shape": np.asarray([pack.detector.input_size], np.float32),
    }
    asked = {name: feeds[name] for name in detector.inputs}
    for line in sys.stdin:
        shape = (int(line), 3, *pack.embedder.input_size)
        crops = {embedder.inputs[0]: rng.standard_normal(shape, dtype=np.float32)}
        start = perf_counter()
        detector.run(asked)
        between = perf_counter()
        embedder.run(crops)
        end = perf_counter()
        print(json.dumps([(between - start) * 1000, (end - between) * 1000]), flush=True)


@contextmanager
def beside(pack: Pack, threads: int) -> Iterator[subprocess.Popen[str]]:
    """The process of `raw_forwards`."""
    command = [sys.executable, "-m", "bench.stages", "--raw", str(pack.folder)]
    with subprocess.Popen(
        [*command, "--threads", str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        stream(process.stdin).close()


def forwards(process: subprocess.Popen[str], crops: int) -> tuple[float, float]:
    """Milliseconds of the detector and of the embedder on `crops` crops."""
    asked, answered = stream(process.stdin), stream(process.stdout)
    asked.write(f"{crops}\n")
    asked.flush()
    detect, embed = json.loads(answered.readline())
    return detect, embed


def measure(
    client: HTTPConnection,
    photo: Photograph,
    pack: Pack,
    process: subprocess.Popen[str],
    rounds: int,
) -> list[str]:
    """A row of the table: medians over `rounds` requests."""
    crops = crops_of(client, photo, pack)
    stages: list[dict[str, float]] = []
    whole: list[float] = []
    raw: list[tuple[float, float]] = []
    for turn in range(rounds + WARM):
        forward = forwards(process, crops)
        start = perf_counter()
        answer = post(client, "/recognize", photo)
        elapsed = (perf_counter() - start) * 1000
        if turn >= WARM:
            raw.append(forward)
            whole.append(elapsed)
            stages.append(answer["timing_ms"])
    own = [f"{median(times[stage] for times in stages):.1f}" for stage in STAGES]
    detect, embed = (median(times) for times in zip(*raw, strict=True))
    ratio = median(spent / sum(alone) for spent, alone in zip(whole, raw, strict=True))
    return [
        f"{photo.size}, {len(photo.jpeg) / 1e6:.1f} MB, {crops} crops",
        *own,
        f"{median(whole):.1f}",
        f"{detect:.1f} + {embed:.1f}",
        f"{ratio:.2f}",
    ]


def crops_of(client: HTTPConnection, photo: Photograph, pack: Pack) -> int:
    """How many crops `/recognize` embeds: the bodies that it finds, and the whole image."""
    asked = f"/detect?max_results={pack.detector.max_results}"
    return len(post(client, asked, photo)["detections"]) + 1


def post(client: HTTPConnection, path: str, photo: Photograph) -> Any:
    """The document that answers a photograph; a client so plain costs the cores little."""
    client.request("POST", path, photo.jpeg, {"Content-Type": "image/jpeg"})
    answer = client.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
    return json.loads(body)


def stream(pipe: IO[str] | None) -> IO[str]:
    """A pipe of a process that was started with it."""
    if pipe is None:
        raise ValueError("the process has no such pipe")
    return pipe


def main() -> None:
    parser = parser_of(__doc__, "pack name", "threads")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.raw:
        raw_forwards(Pack.load(options.raw), options.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), pack=options.pack, threads=options.threads)
        pack = find_or_make(settings)
        with (
            service(Path(folder), options.pack, options.threads) as (port, _),
            closing(HTTPConnection(HOST, port)) as client,
            beside(pack, options.threads) as process,
        ):
            rows = [
                measure(client, photo, pack, process, options.rounds)
                for photo in photographs(list(SIZES), [SCENE])
            ]
    header = ("`/recognize`, median ms", *STAGES, "over HTTP", "raw forwards", "ratio")
    text = (
        f"## Stages, pack `{options.pack}`\n\n`python -m bench.stages --pack {options.pack}`: one "
        f"request at a time, {options.threads} threads. The ratio is that of the whole request "
        "over HTTP to the two forward passes alone, "
        f"pair by pair. {circumstances()}\n\n{table(header, rows)}"
    )
    publish(options.write, section_of("stages", options.pack), text)


if __name__ == "__main__":
    main()
