"""TillSight beside PaddleX's PP-ShiTuV2 pipeline: same models, photographs, crops, one run.

    python -m bench.peers --environment FOLDER [--engine openvino-bf16] [--threads 2] [--rounds 20]

Makes a virtual environment in FOLDER, unless it is there, with PaddleX from PyPI. Both get the
pack's two exported models, the sample references as gallery and the same photographs: PaddleX as
files to its own pipeline in its own process, TillSight as requests over HTTP, in turn, so that both
see the same machine. PaddleX keeps as many of its boxes as TillSight has crops.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, get_args

from app.sample import SAMPLES
from app.settings import Settings
from bench.packs import find_or_make, section_of
from bench.photographs import SIZES, Photograph, photographs
from bench.report import circumstances, parser_of, publish, table
from bench.serve import HOST, service
from bench.stages import crops_of, post, stream
from models.pack import NetworkSpec, Pack
from models.session import Engine

PADDLEX = ("paddlex[cv]==3.7.2", "paddlepaddle==3.2.2", "faiss-cpu")
INTERPOLATION = {"linear": 1, "cubic": 2, "area": 3}
SCENES = ("scene-1.jpg", "scene-4.jpg")
WARM = 3
# The peer's threads spin for OpenMP's 200 ms after its last pass, on cores that the next needs.
QUIET_SECONDS = 0.3


def environment(folder: Path) -> Path:
    """The Python of a virtual environment with PaddleX, made when it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PADDLEX], check=True)
    return python


def write_models(pack: Pack, folder: Path) -> None:
    """The pack's networks in PaddleX's layout: `det` and `rec`, each with its `inference.yml`."""
    # JSON is YAML as well.
    for name, spec, description in (
        ("det", pack.detector, _detector(pack.detector)),
        ("rec", pack.embedder, _embedder(pack.embedder)),
    ):
        target = folder / name
        target.mkdir()
        suffix = Path(spec.model).suffix
        shutil.copyfile(pack.folder / spec.model, target / f"inference{suffix}")
        shutil.copyfile(pack.folder / spec.params, target / "inference.pdiparams")
        (target / "inference.yml").write_text(json.dumps(description), encoding="utf-8")


def _normalisation(spec: NetworkSpec) -> dict[str, list[float]]:
    """`(v * scale - mean) / std` as `(v / 255 - mean) / std`."""
    share = 255 * spec.scale
    return {"mean": [m / share for m in spec.mean], "std": [s / share for s in spec.std]}


def _detector(spec: NetworkSpec) -> dict[str, Any]:
    interpolation = INTERPOLATION[spec.interpolation]
    return {
        "Global": {"model_name": "PP-ShiTuV2_det"},
        "mode": "paddle",
        "draw_threshold": 0.5,
        "metric": "COCO",
        "arch": "PicoDet",
        "Preprocess": [
            {
                "type": "Resize",
                "target_size": list(spec.input_size),
                "keep_ratio": False,
                "interp": interpolation,
            },
            {"type": "NormalizeImage", "is_scale": True} | _normalisation(spec),
            {"type": "Permute"},
        ],
        "label_list": ["foreground"],
    }


def _embedder(spec: NetworkSpec) -> dict[str, Any]:
    normalise = {"channel_num": 3, "order": "", "scale": 1 / 255} | _normalisation(spec)
    return {
        "Global": {"model_name": "PP-ShiTuV2_rec"},
        "PreProcess": {
            "transform_ops": [
                {"ResizeImage": {"size": list(spec.input_size), "return_numpy": False}},
                {"NormalizeImage": normalise},
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": {"NormalizeFeatures": None},
    }


@contextmanager
def paddlex(python: Path, pack: Pack, threads: int) -> Iterator[subprocess.Popen[str]]:
    """PaddleX's pipeline, ready to be asked."""
    with tempfile.TemporaryDirectory() as folder:
        write_models(pack, Path(folder))
        pictures = sorted((SAMPLES / "references").glob("*/*.jpg"))
        references = Path(folder) / "references.json"
        references.write_text(json.dumps([(str(p), p.parent.name) for p in pictures]))
        script = Path(__file__).with_name("peer_paddlex.py")
        with subprocess.Popen(
            [str(python), str(script), folder, str(references), "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Its check of model hosters reaches for the network.
            env=os.environ | {"PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True"},
        ) as process:
            while (line := stream(process.stdout).readline().strip()) != "ready":
                if not line and process.poll() is not None:
                    raise RuntimeError(f"PaddleX ended with {process.returncode}")
            yield process
            stream(process.stdin).close()


def ask_paddlex(process: subprocess.Popen[str], path: Path, boxes: int) -> dict[str, Any]:
    asked = stream(process.stdin)
    asked.write(f"{boxes} {path}\n")
    asked.flush()
    answer: dict[str, Any] = json.loads(stream(process.stdout).readline())
    return answer


def measure(
    client: HTTPConnection,
    process: subprocess.Popen[str],
    photo: Photograph,
    pack: Pack,
    rounds: int,
) -> list[str]:
    """A row of the table: medians, and the median of the ratios, pair by pair."""
    crops = crops_of(client, photo, pack)
    ours, theirs, kept = [], [], crops
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(photo.jpeg)
        file.flush()
        for turn in range(rounds + WARM):
            sleep(QUIET_SECONDS)
            start = perf_counter()
            post(client, "/recognize", photo)
            elapsed = (perf_counter() - start) * 1000
            peer = ask_paddlex(process, Path(file.name), crops)
            if turn >= WARM:
                ours.append(elapsed)
                theirs.append(peer["ms"])
                kept = min(kept, peer["boxes"])
    ratio = median(there / here for there, here in zip(theirs, ours, strict=True))
    return [
        f"{photo.scene}, {photo.size}",
        f"{crops} / {kept}",
        f"{median(ours):.1f}",
        f"{median(theirs):.1f}",
        f"{ratio:.2f}",
    ]


def main() -> None:
    parser = parser_of(__doc__, "pack name", "threads")
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--engine", choices=get_args(Engine), default="paddle-fp32")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    python = environment(options.environment)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), pack=options.pack)
        pack = find_or_make(settings)
        engine = {"TILLSIGHT_ENGINE": options.engine}
        with (
            service(Path(folder), options.pack, options.threads, more=engine) as (port, _),
            closing(HTTPConnection(HOST, port)) as client,
            paddlex(python, pack, options.threads) as process,
        ):
            photos = photographs(list(SIZES), SCENES)
            rows = [measure(client, process, photo, pack, options.rounds) for photo in photos]
    header = ("photograph", "crops, ours / theirs", "TillSight ms", "PaddleX ms", "ratio")
    text = (
        f"## Beside PaddleX, {options.engine}, pack `{options.pack}`\n\n"
        f"`python -m bench.peers --engine {options.engine} --pack {options.pack}`: the same "
        f"models, {options.threads} threads each, one request at a time, in turn. TillSight over "
        "HTTP, when the other's threads have come to rest; PaddleX 3.7.2 on files, its pipeline as "
        f"it comes (fp32, oneDNN, crops one by one). {circumstances()}\n\n{table(header, rows)}"
    )
    section = section_of(f"paddlex {options.engine}", options.pack)
    publish(options.write, section, text)


if __name__ == "__main__":
    main()
